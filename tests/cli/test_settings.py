"""Where settings come from, and what `up` writes down."""

import base64

import click
import pytest

from app.cli import settings
from app.cli.site import Site

GOOD = {
    "DATABASE_URL": "postgresql://somebody:word@/atelier?host=/run",
    "REDIS_URL": "unix://:word@/run/valkey.sock?db=0",
    "JWT_SECRET": "x" * 40,
    "ASSET_DIR": "/srv/assets",
    "PUBLIC_URL": "http://127.0.0.1:8000",
}


def test_what_was_written_is_read(site):
    settings.write(site, GOOD)
    found = settings.load(site)
    assert (found.database_url, found.redis_url) == (GOOD["DATABASE_URL"], GOOD["REDIS_URL"])


def test_the_file_is_for_its_owner_alone(site):
    settings.write(site, GOOD)
    assert site.env_file.stat().st_mode & 0o777 == 0o600


def test_the_environment_wins_over_the_file(site, monkeypatch):
    settings.write(site, GOOD)
    monkeypatch.setenv("PUBLIC_URL", "https://pictures.example")
    assert settings.load(site).public_url == "https://pictures.example"


def test_the_checkouts_own_file_wins_over_what_up_wrote(site, monkeypatch):
    # Set and taken away, so that what the file puts into the environment is gone after this test.
    monkeypatch.setenv("PUBLIC_URL", "")
    monkeypatch.delenv("PUBLIC_URL")
    settings.write(site, GOOD)
    (settings.PROJECT / ".env").write_text("PUBLIC_URL=https://project.example\n")
    assert settings.load(site).public_url == "https://project.example"
    assert settings.given("PUBLIC_URL") == "https://project.example"


def test_a_file_of_another_project_where_somebody_stands_is_not_read(site, tmp_path, monkeypatch):
    settings.write(site, GOOD)
    (tmp_path / ".env").write_text("DATABASE_URL=postgresql://stranger/db\n")
    monkeypatch.chdir(tmp_path)
    assert settings.load(site).database_url == GOOD["DATABASE_URL"]


def test_where_up_never_ran_the_file_in_the_current_folder_is_read(site, tmp_path, monkeypatch):
    (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in GOOD.items()))
    monkeypatch.chdir(tmp_path)
    assert settings.load(site).database_url == GOOD["DATABASE_URL"]
    assert settings.environment(site)["DATABASE_URL"] == GOOD["DATABASE_URL"]


def test_without_any_settings_the_message_says_what_to_do(site):
    with pytest.raises(click.ClickException) as raised:
        settings.load(site)
    for words in ("atelier up", "--data-dir", "DATABASE_URL", str(site.env_file)):
        assert words in raised.value.message


def test_lines_that_people_added_stay(site):
    settings.write(site, GOOD)
    with site.env_file.open("a") as file:
        file.write("# ours\nPROVIDERS=sketch\n")
    settings.write(site, {**GOOD, "PUBLIC_URL": "http://127.0.0.1:9000"})
    lines = site.env_file.read_text().splitlines()
    assert lines[-2:] == ["# ours", "PROVIDERS=sketch"]
    assert settings.load(site).public_url == "http://127.0.0.1:9000"


def test_wrong_settings_are_refused_before_they_are_written(site):
    settings.write(site, GOOD)
    with pytest.raises(click.ClickException, match="JWT_SECRET"):
        settings.write(site, {**GOOD, "JWT_SECRET": "short"})
    assert settings.load(site).jwt_secret == GOOD["JWT_SECRET"]
    assert [path.name for path in site.data.iterdir()] == ["atelier.env"]


def test_values_come_back_as_they_were(site):
    odd = "it's a \\ long and 'quoted' secret with # and spaces"
    settings.write(site, {**GOOD, "JWT_SECRET": odd})
    assert settings.load(site).jwt_secret == odd


def test_the_signing_secret_is_made_once(site):
    made = settings.signing_secret(site)
    assert len(base64.b64decode(made)) == 48
    settings.write(site, {**GOOD, "JWT_SECRET": made})
    assert settings.signing_secret(site) == made


def test_two_sites_have_two_signing_secrets(site, tmp_path):
    assert settings.signing_secret(site) != settings.signing_secret(Site(tmp_path))


def test_a_given_signing_secret_is_taken(site, monkeypatch):
    monkeypatch.setenv("JWT_SECRET", "y" * 40)
    assert settings.signing_secret(site) == "y" * 40


def test_a_setting_may_be_given_by_a_file(tmp_path, monkeypatch):
    (tmp_path / "url").write_text("postgresql://from/file\n")
    monkeypatch.setenv("DATABASE_URL_FILE", str(tmp_path / "url"))
    assert settings.given("DATABASE_URL") == "postgresql://from/file"


def test_a_file_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setenv("DATABASE_URL_FILE", "/nowhere/url")
    with pytest.raises(click.ClickException, match="DATABASE_URL_FILE"):
        settings.given("DATABASE_URL")


def test_nothing_is_given_by_an_empty_setting(monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "")
    assert settings.given("DATABASE_URL") is None


def test_a_program_sees_the_settings_wherever_it_runs(site, tmp_path, monkeypatch):
    settings.write(site, GOOD)
    monkeypatch.setenv("ASSET_DIR", "pictures")
    env = settings.environment(site)
    assert env["DATABASE_URL"] == GOOD["DATABASE_URL"]
    assert env["ASSET_DIR"] == str(tmp_path / "elsewhere" / "pictures")
    assert env["ATELIER_DATA_DIR"] == str(site.data)


def test_a_program_sees_the_environment_before_what_was_written(site, monkeypatch):
    settings.write(site, GOOD)
    monkeypatch.setenv("REDIS_URL", "redis://elsewhere")
    assert settings.environment(site)["REDIS_URL"] == "redis://elsewhere"
