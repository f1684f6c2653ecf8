"""Jackson behind a pipe: one Java process that writes and reads Smile for the tests, as long as they run."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any

JARS = Path("/usr/share/java")
"""Where Debian's libjackson2-core-java and libjackson2-dataformat-smile put them."""
CLASSPATH = [JARS / "jackson-core.jar", JARS / "jackson-dataformat-smile.jar"]
SOURCE = Path(__file__).with_name("Oracle.java")

SHARED_NAMES, SHARED_VALUES, RAW_BINARY, FLOATS_32, FLOATS_DECIMAL, TEXT_AS_BINARY, END_MARKER = (
    1 << bit for bit in range(7)
)
"""How Jackson is to write; see Oracle.java."""


def missing() -> str:
    """What the oracle needs and this machine does not have; empty when it has everything."""
    java = shutil.which("java")
    if java is None:
        return "no java; on Debian: apt-get install default-jdk-headless libjackson2-dataformat-smile"
    absent = [str(jar) for jar in CLASSPATH if not jar.exists()]
    if absent:
        return f"no {' and no '.join(absent)}; on Debian: apt-get install libjackson2-dataformat-smile"
    probe = subprocess.run([java, "--list-modules"], capture_output=True, text=True, check=False)
    if "jdk.compiler" not in probe.stdout:
        return "java without a compiler; on Debian: apt-get install default-jdk-headless"
    return ""


def required() -> bool:
    """Whether the oracle must not be skipped: EDGEQUEUE_ORACLE=required, as .ci/run sets it where it has Java."""
    return os.environ.get("EDGEQUEUE_ORACLE") == "required"


class Refused(Exception):
    """Jackson raised; the text is the exception's."""


class Jackson:
    """A context with the process inside. Questions and answers are length-prefixed; see Oracle.java."""

    def __enter__(self) -> Jackson:
        command = ["java", "-XX:TieredStopAtLevel=1", "-cp", os.pathsep.join(map(str, CLASSPATH)), str(SOURCE)]
        self._java = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._java.communicate(timeout=30)  # closes its input, which ends it

    def write(self, document: Any, options: int) -> bytes:
        """The document in Smile, written with these options; Refused when Jackson does not."""
        return self._ask(b"w", options, json.dumps(document, ensure_ascii=False).encode())

    def read(self, smile: bytes) -> Any:
        """The document that Jackson reads; Refused when it does not."""
        return json.loads(self._ask(b"r", 0, smile))

    def _ask(self, question: bytes, options: int, document: bytes) -> bytes:
        assert self._java.stdin is not None
        assert self._java.stdout is not None
        self._java.stdin.write(question + struct.pack(">BI", options, len(document)) + document)
        self._java.stdin.flush()
        head = self._java.stdout.read(5)
        assert len(head) == 5, f"Java ended with {self._java.poll()}"
        refused, size = struct.unpack(">BI", head)
        answer = self._java.stdout.read(size)
        if refused:
            raise Refused(answer.decode())
        return answer
