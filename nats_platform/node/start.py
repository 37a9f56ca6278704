"""Where Python begins when it runs the agent's one file."""

import sys

from nats_platform.node.__main__ import main

sys.exit(main())
