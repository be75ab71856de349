"""HAProxy accepts every recorded configuration without a warning."""

import subprocess
from pathlib import Path

import pytest

from tests.certificate_authority import CertificateAuthority
from tests.golden.case import STATE, Case, cases


@pytest.mark.parametrize("case", list(cases()), ids=lambda case: case.path.stem)
def test_haproxy_accepts_it_without_a_warning(case: Case, tmp_path: Path) -> None:
    """``haproxy -c`` with certificates where the lists name them."""
    authority = CertificateAuthority()
    decision = case.decision()
    for path, bundle in decision.desired.certificates.items():
        file = Path(path.replace(STATE, str(tmp_path)))
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(authority.issue(*map(str, bundle.identifiers)).bundle_pem)
    for name, content in decision.desired.configuration.files.items():
        file = tmp_path / "current" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content.decode().replace(STATE, str(tmp_path)).replace("/run/companion", str(tmp_path)))
    (tmp_path / "servers.state").write_text("1\n")
    command = ["haproxy", "-c", "-dW", "-f", str(tmp_path / "current" / "haproxy.cfg")]
    outcome = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert outcome.returncode == 0, outcome.stderr
