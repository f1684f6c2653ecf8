"""`doctor --validate`: one event is checked by the service itself, never a part of the drain."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgequeue.destinations.adobe_dccs_validation import DEPTH_MAX, validation_report
from edgequeue.emulator import Emulator, Fault
from edgequeue.model import HttpResponse
from tests.acceptance.cli_harness import Cli, dccs, edge


@pytest.fixture
def service() -> Iterator[Emulator]:
    with Emulator(required_fields=("commerce.order.purchaseID",)) as found:
        yield found


@pytest.fixture
def cli(tmp_path: Path, service: Emulator) -> Cli:
    inlet = service.inlet_url("i")
    return Cli(tmp_path).configure(edge("web", service.url), dccs("till", inlet, org_id="org@AdobeOrg"))


def ask(cli: Cli, event: object, *options: str) -> tuple[int, list[dict[str, object]]]:
    """The exit code, and the findings about the validation."""
    file = cli.directory / "event.json"
    file.write_text(json.dumps(event))
    result = cli("doctor", "--validate", str(file), *options, "--json")
    findings = json.loads(result.stdout)["findings"]
    return result.exit_code, [one for one in findings if one["check"].startswith("validation")]


def test_an_event_that_passes_says_so_with_its_receipt(cli: Cli, service: Emulator) -> None:
    """One request, on the single endpoint, with the parameter; the queue has nothing to do with it."""
    code, (finding,) = ask(cli, {"xdm": {"commerce": {"order": {"purchaseID": "P4711"}}}})
    assert (code, finding["ok"]) == (0, True)
    assert "passed" in str(finding["text"])
    assert service.arrived.distinct == 1
    assert cli.json("status")["ledger"]["enqueued"] == 0


def test_an_event_that_fails_names_each_fault(cli: Cli) -> None:
    """The service's own words, one finding for each violation; exit code 2."""
    code, findings = ask(cli, {"xdm": {"eventType": "sale"}})
    assert code == 2
    assert ["required key [commerce.order.purchaseID] not found" in str(one["text"]) for one in findings] == [True]


def test_a_data_centre_that_does_not_check_is_no_verdict(cli: Cli, service: Emulator) -> None:
    """501: nothing is said about the event, and the exit code is that of advice."""
    service.add_fault(Fault("status", service="dccs", status=501))
    code, (finding,) = ask(cli, {"xdm": {}})
    assert (code, finding["ok"]) == (0, False)
    assert "does not check" in str(finding["text"])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--to", "web"), "'web' is none of them"),
        (("--to", "tills"), "no destination 'tills'"),
    ],
)
def test_only_streaming_ingestion_can_be_asked(cli: Cli, options: tuple[str, ...], said: str) -> None:
    """The destination that was named must be one that checks."""
    (cli.directory / "event.json").write_text("{}")
    result = cli("doctor", "--validate", str(cli.directory / "event.json"), *options)
    assert result.exit_code == 2
    assert said in result.stderr


def test_what_edgequeue_refuses_is_not_sent(cli: Cli, service: Emulator) -> None:
    """The check at enqueue comes first."""
    code, (finding,) = ask(cli, {"xdm": {"timestamp": "today"}})
    assert (code, finding["ok"]) == (2, False)
    assert not [seen for seen in service.requests if seen.service == "dccs"]


def test_to_without_an_event_is_a_mistake(cli: Cli) -> None:
    """It would do nothing."""
    assert "--to goes with --validate" in cli("doctor", "--to", "till").stderr


def test_faults_within_faults_are_read_without_an_end() -> None:
    """However deep somebody nests them."""
    fault: dict[str, object] = {"message": "innermost", "pointerToViolation": "#/a"}
    for _ in range(DEPTH_MAX * 3):
        fault = {"message": "around", "causingExceptions": [fault]}
    body = json.dumps({"report": {"cause": {"_streamingValidation": [fault]}}}).encode()
    report = validation_report(HttpResponse(400, {}, body))
    assert report.passed is False
    assert len(report.faults) == 1
