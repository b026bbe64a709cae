"""How long a group waits unless told otherwise."""

import datetime

default_pg_timeout = datetime.timedelta(minutes=30)
