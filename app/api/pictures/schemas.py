"""What may come in below /api/v1."""

from typing import Any

from marshmallow import fields, post_load, pre_load, validate

from app.api.fields import SnakeSchema
from app.api.schemas import Text
from app.services.pictures.search import Sort, Wanted
from app.services.pictures.wish import Shape, Subject, Wish
from app.services.scenes.scene import Scene

_LAST_PAGE = 10_000


def _some(longest: int) -> Text:
    return Text(trim=True, validate=validate.Length(min=1, max=longest))


def _needed(longest: int, shortest: int = 1) -> Text:
    return Text(trim=True, required=True, validate=validate.Length(min=shortest, max=longest))


class WaitSchema(SnakeSchema):
    wait = fields.Float(
        load_default=60.0, validate=validate.Range(min=0, max=60), metadata={"description": "seconds"}
    )


class GenerateSchema(SnakeSchema):
    subject_type = fields.Enum(Subject, by_value=True, required=True)
    subject_name = _needed(200)
    prompt = _needed(1000, 10)
    custom_prompt = Text(trim=True, allow_none=True, validate=validate.Length(max=200))
    aspect_ratio = fields.Enum(Shape, by_value=True)
    component = _some(100)

    @post_load
    def as_wish(self, data: dict[str, Any], **_kwargs: Any) -> Wish:
        return Wish(**data)


class SearchSchema(SnakeSchema):
    page = fields.Integer(load_default=1, validate=validate.Range(min=1, max=_LAST_PAGE))
    page_size = fields.Integer(load_default=12, validate=validate.Range(min=1, max=100))
    sort = fields.Enum(Sort, by_value=True, load_default=Sort.FEATURED)
    subject_name = _some(200)
    subject_type = fields.Enum(Subject, by_value=True)
    is_featured = fields.Boolean()
    q = _some(200)

    @post_load
    def with_wanted(self, data: dict[str, Any], **_kwargs: Any) -> dict[str, Any]:
        paging = {name: data.pop(name) for name in ("page", "page_size", "sort")}
        return {**paging, "wanted": Wanted(**data)}


class ImageQuerySchema(SnakeSchema):
    include_data = fields.Boolean(load_default=False)


class FeatureSchema(SnakeSchema):
    """Without a body the picture is featured if it wasn't, and the other way round."""

    featured = fields.Boolean(load_default=None, truthy={True}, falsy={False})


class SceneSchema(SnakeSchema):
    """Where a scene is; all of it may stand in the body or in the query."""

    location = _some(200)
    time_of_day = _some(50)
    weather = _some(50)
    force_regenerate = fields.Boolean()

    @pre_load
    def nothing_is_fine(self, data: Any, **_kwargs: Any) -> Any:
        return data or {}


class SceneQuerySchema(SceneSchema, WaitSchema):
    pass


class ClearSchema(SnakeSchema):
    location = _some(200)


def scene_of(given: dict[str, Any]) -> Scene:
    """Return the scene of what a SceneSchema has let through."""
    return Scene(**{name: given[name] for name in ("location", "time_of_day", "weather") if name in given})
