"""What a run on a cluster is, by its folder and by what the cluster says; what is wrong is said in a sentence."""

import json
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.jobs import clusters, engines, launch
from core.jobs.engines import ray, slurm
from core.runs import journal
from core.runs.folder import LIVE, STATES, get_folder, get_run
from core.runs.layout import job_file, stop_flag
from core.runs.stored import JOB
from core.system.errors import UserError
from core.system.files import read_json, write_json
from tests.helpers.damages import DAMAGES
