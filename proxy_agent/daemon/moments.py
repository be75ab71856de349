"""Moments and pauses in files that a process reads again: none so far off that calculating with it would end that."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import AwareDatetime, Field

Moment = Annotated[AwareDatetime, Field(ge=datetime(1900, 1, 1, tzinfo=UTC), lt=datetime(9000, 1, 1, tzinfo=UTC))]
"""Whatever clock told it; what is beyond came from none, and the file is damaged."""

_CENTURY = timedelta(days=36525)
Pause = Annotated[timedelta, Field(ge=-_CENTURY, le=_CENTURY)]
"""Longer than any that is meant, and backwards where a clock was set back."""
