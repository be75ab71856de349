"""One folder of hooks for all ACME servers, unless one has its own."""

from pathlib import Path

from letsencrypt.renewal_hooks import share_hooks


def test_hooks_are_those_of_the_root(tmp_path: Path) -> None:
    """Also where certbot made empty folders before; again and again nothing more happens."""
    config = tmp_path / "directories/staging"
    share_hooks(tmp_path, config)
    assert not config.exists()
    (tmp_path / "renewal-hooks/deploy").mkdir(parents=True)
    for kind in ("pre", "deploy", "post"):
        (config / "renewal-hooks" / kind).mkdir(parents=True)
    (tmp_path / "renewal-hooks/deploy/reload").touch()
    for _ in range(2):
        share_hooks(tmp_path, config)
        assert (config / "renewal-hooks/deploy/reload").exists()
    share_hooks(tmp_path, tmp_path)
    assert not (tmp_path / "renewal-hooks").is_symlink()


def test_a_server_keeps_hooks_of_its_own(tmp_path: Path) -> None:
    """They stay, and no others are added."""
    config = tmp_path / "directories/staging"
    (tmp_path / "renewal-hooks/deploy").mkdir(parents=True)
    (config / "renewal-hooks/post").mkdir(parents=True)
    (config / "renewal-hooks/post/own").touch()
    share_hooks(tmp_path, config)
    assert (config / "renewal-hooks/post/own").exists()
    assert not (config / "renewal-hooks").is_symlink()
