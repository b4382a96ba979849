"""Captions as they are drawn: every language of the document, and texts that mean harm."""

import pytest
from PIL import Image

from app.providers.kenburns import fonts, words
from app.providers.kenburns.canvas import painted
from app.providers.kenburns.captions import captions
from app.providers.kenburns.encoder import _words
from app.providers.kenburns.errand import Order

SAMPLES = {
    "hi": "नमस्ते, यह एक कहानी है। क्षत्रिय",
    "te": "తెలుగు భాష చాలా అందమైనది",
    "ta": "தமிழ் மொழி இனிமையானது",
    "ml": "മലയാളം മനോഹരമാണ്",
    "bn": "বাংলা ভাষা খুব মিষ্টি",
    "gu": "ગુજરાતી ભાષા સુંદર છે",
    "mr": "मराठी भाषा खूप गोड आहे, ज्ञानेश्वर",
    "pa": "ਪੰਜਾਬੀ ਭਾਸ਼ਾ ਪਿਆਰੀ ਹੈ",
    "en": "It’s a “story” — naïve, isn’t it?",
    "ar": "مرحبا بالعالم، هذه قصة",
    "ja": "これは小さな竜の物語です。",
    "zh": "从前有一条小龙。",
    "ko": "옛날 옛적에 작은 용이 살았어요.",
}
HOSTILE = [
    "'; rm -rf / #",
    "%{pts\\:hms} %{expr:1/0} %s %n {0.__class__}",
    "drawtext=text='x',movie=/etc/passwd[x];[x]overlay",
    "line\nline\r\n\n\nline\\n",
    "-i /etc/passwd -y /tmp/x",
    "مرحبا \u202e abc \u2067 שלום 123",
    "Z\u0335\u0336\u0337\u0338\u0339" * 200,
    "a" * 5000,
    "word " * 1000,
    "字" * 5000,
    "क्षत्रिय" * 600,
    "\x00\x01\x02\x1b]0;title\x07 left",
]


def an_order(text, *, width=720, height=720, seconds=4.0, picture=None):
    found = fonts.font_for(words.clean(text))
    assert found is not None
    name, shown = found
    return Order(width, height, seconds, 3, words.readable(shown, seconds), name, picture)


def ink(mask):
    """The share of pixels that are white."""
    return sum(mask.histogram()[200:]) / (mask.width * mask.height)


@pytest.mark.parametrize("language", SAMPLES)
def test_there_is_a_font_for_every_language(language):
    text = words.clean(SAMPLES[language])

    assert fonts.font_for(text, language) is not None


@pytest.mark.parametrize("language", SAMPLES)
def test_every_language_leaves_ink_that_is_no_row_of_boxes(language):
    text = SAMPLES[language].split()[0]
    caption, *_ = captions(an_order(text))
    boxes, *_ = captions(Order(720, 720, 4.0, 3, "\U000f0000" * len(text), an_order(text).font))

    assert 0.01 < ink(caption.luma) < 0.4
    assert caption.luma.tobytes() != boxes.luma.tobytes()


def test_letters_of_india_join():
    (joined,), (apart,) = (captions(an_order(text * 4)) for text in ("क्ष", "कष"))

    assert joined.luma.width < 0.9 * apart.luma.width


def test_no_font_is_named_for_letters_that_none_has():
    assert fonts.font_for("\U00012000\U00012001") is None


def test_symbols_that_a_font_lacks_are_left_out():
    name, text = fonts.font_for("score \u17db here")

    assert "\u17db" not in text
    assert text.startswith("score ")
    assert name == "KurintoSans-Bd.ttf"


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("size", [(1280, 720), (720, 1280)])
def test_a_hostile_text_is_drawn_inside_the_frame(text, size):
    order = an_order(text, width=size[0], height=size[1])
    frame = painted(3, *size).frame((0, 0, *size), *size)
    before = frame[0].tobytes()

    found = captions(order)
    for caption in found:
        caption.lay(frame, caption.page.begins + 0.3)

    assert found
    assert frame[0].tobytes() != before
    for caption in found:
        assert caption.left >= 0
        assert caption.top >= 0
        assert caption.left + caption.luma.width <= size[0]
        assert caption.top + caption.luma.height <= size[1]


@pytest.mark.parametrize("text", HOSTILE)
def test_no_word_of_a_text_reaches_the_command_line(text):
    assert _words(an_order(text)) == _words(an_order("calm"))


def test_words_stay_clear_of_the_edges_of_their_box():
    (caption,) = captions(an_order("Ågypç", seconds=4.0))
    bright = caption.luma.point(lambda level: 255 if level > 60 else 0)
    left, top, right, bottom = bright.getbbox()

    assert min(left, top, caption.luma.width - right, caption.luma.height - bottom) >= 8


def test_a_caption_is_legible_on_white_and_on_black():
    (caption,) = captions(an_order("Legible", picture=b"x"))
    for paper in (16, 235):
        planes = tuple(
            Image.new("L", size, shade) for size, shade in (((720, 720), paper), *[((360, 360), 128)] * 2)
        )
        caption.lay(planes, 1.0)
        seen = planes[0].crop(
            (caption.left, caption.top, caption.left + caption.luma.width, caption.top + caption.luma.height)
        )
        darkest, brightest = seen.getextrema()

        assert brightest == 235
        assert sum(seen.histogram()[:100]) > 0.5 * seen.width * seen.height
        assert darkest < 40


def test_a_caption_comes_and_goes_softly():
    (caption,) = captions(an_order("Softly"))

    def change(second):
        planes = painted(3, 720, 720).frame((0, 0, 720, 720), 720, 720)
        before = planes[0].copy()
        caption.lay(planes, second)
        return sum(abs(a - b) for a, b in zip(before.tobytes(), planes[0].tobytes(), strict=True))

    assert 0 < change(0.05) < 0.6 * change(1.0)
    assert 0 < change(3.95) < 0.6 * change(1.0)
    assert change(4.5) == 0


def test_a_film_without_words_has_no_captions():
    assert captions(Order(720, 720, 4.0, 3)) == ()
