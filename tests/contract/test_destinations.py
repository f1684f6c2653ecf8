"""Every destination that ships passes the contract, and is found by the name of its type."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edgequeue.destinations import destination_class, destination_types
from edgequeue.destinations.adobe_dccs import AdobeDccs
from edgequeue.destinations.adobe_edge import AdobeEdge
from edgequeue.errors import ConfigError, InvalidEvent
from edgequeue.testing.contract import WALL_MS, DestinationContract


class Adobe(DestinationContract):
    """What holds for both of Adobe's services."""

    successes = frozenset((200, 202, 204, 207))

    def test_unknown_keys_are_refused(self) -> None:
        """What would not travel is not taken without a word."""
        for event in ({"nonsense": 1}, {**self.good_event(), "nonsense": 1}):
            with pytest.raises(InvalidEvent):
                self.destination.check(event, WALL_MS)


class TestAdobeEdge(Adobe):
    """Edge, without credentials and with answers."""

    destination = AdobeEdge("web", datastream_id="3849362a-f325-4418-8cc8-993342b254f7")

    def good_event(self) -> dict[str, Any]:
        return {
            "xdm": {
                "eventType": "commerce.purchases",
                "identityMap": {"loyalty": [{"id": "L-100", "primary": True}]},
                "commerce": {"order": {"purchaseID": "P4711", "priceTotal": 12.5}},
            },
            "data": {"till": 3, "café": "crème"},
        }


class TestAdobeEdgeSilent(TestAdobeEdge):
    """Edge with `silent`, where a 204 is a success."""

    destination = AdobeEdge("web", datastream_id="3849362a-f325-4418-8cc8-993342b254f7", silent=True)


class TestAdobeDccs(Adobe):
    """DCCS with events that are wrapped when they are sent."""

    destination = AdobeDccs(
        "till",
        endpoint="https://dcs.adobedc.net/collection/0f1e2d",
        org_id="ACME@AdobeOrg",
        dataset_id="6021a1b2c3",
        schema_id="https://ns.adobe.com/acme/schemas/77aa",
        flow_id="d3c0ffee",
        source_name="tills",
    )

    def good_event(self) -> dict[str, Any]:
        return {
            "xdm": {"eventType": "commerce.purchases", "commerce": {"order": {"purchaseID": "P4711"}}, "note": None}
        }


class TestAdobeDccsRaw(Adobe):
    """DCCS with raw data, several a request because that was asked for."""

    destination = AdobeDccs(
        "sensors",
        endpoint="https://dcs.adobedc.net/collection/0f1e2d",
        data_type="raw",
        flow_id="d3c0ffee",
        batch_events_max=50,
    )

    def good_event(self) -> dict[str, Any]:
        return {"data": {"sensor": "door-3", "opened": True, "celsius": 4.5, "note": None}}

    def test_the_limits_are_sensible_and_can_be_lowered(self) -> None:
        """Raw data travels alone unless a batch is asked for, because no document shows one."""
        assert self.destination.limits.events_max == 50
        alone = dataclasses.replace(self.destination, batch_events_max=None)
        assert alone.limits.events_max == 1


class TestAdobeEdgeSmile(TestAdobeEdge):
    """Edge in Smile."""

    destination = AdobeEdge("web", datastream_id="3849362a-f325-4418-8cc8-993342b254f7", encoding="smile")


class TestAdobeDccsSmile(TestAdobeDccs):
    """DCCS in Smile, with shared values."""

    destination = dataclasses.replace(TestAdobeDccs.destination, encoding="smile", smile_shared_values=True)


class TestAdobeDccsFullMessage(Adobe):
    """DCCS with messages that bring their own envelope."""

    destination = AdobeDccs("till", endpoint="https://dcs.adobedc.net/collection/0f1e2d")

    def good_event(self) -> dict[str, Any]:
        schema_ref = {
            "id": "https://ns.adobe.com/acme/schemas/77aa",
            "contentType": "application/vnd.adobe.xed-full+json;version=1",
        }
        return {
            "header": {"schemaRef": schema_ref, "imsOrgId": "ACME@AdobeOrg", "datasetId": "6021a1b2c3"},
            "body": {"xdmMeta": {"schemaRef": schema_ref}, "xdmEntity": {"eventType": "web.visit"}},
        }


class TestAdobeDccsRecord(TestAdobeDccs):
    """DCCS with records (profiles), which have no timestamp."""

    destination = AdobeDccs(
        "people",
        endpoint="https://dcs.adobedc.net/collection/batch/0f1e2d",
        dataset_id="6021a1b2c3",
        schema_id="https://ns.adobe.com/acme/schemas/77aa",
        schema_class="record",
    )


# --- the registry ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", destination_types())
def test_a_built_in_type_is_found_by_its_name(name: str) -> None:
    """The name in the registry is the name that the class gives itself."""
    assert destination_class(name).type == name


def test_an_unknown_type_is_refused_and_the_nearest_named() -> None:
    """A typing error in the configuration is met with the type that was probably meant."""
    with pytest.raises(ConfigError, match=r"'adobe-egde' is not known\. Did you mean 'adobe-edge'\?"):
        destination_class("adobe-egde")


def test_asking_for_the_registry_imports_no_destination() -> None:
    """A program that sends to one service does not load the code for the others."""
    program = (
        "import sys; from edgequeue.destinations import destination_class, destination_types; destination_types();"
        "assert not [name for name in sys.modules if 'adobe' in name]; destination_class('adobe-edge');"
        "assert 'edgequeue.destinations.adobe_dccs' not in sys.modules; assert 'importlib.metadata' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, env={"PYTHONPATH": ":".join(sys.path)})


def _install(folder: Path, module: str, value: str) -> None:
    info = folder / "till_extras-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: till-extras\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[edgequeue.destinations]\nprinter = {value}\n")
    (folder / "till_extras_printer.py").write_text(module)


def test_an_installed_package_adds_a_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A third-party destination is found through its entry point, and named beside the built-in ones."""
    module = "from edgequeue.destinations.base import Destination\nclass Printer(Destination):\n    type = 'printer'\n"
    _install(tmp_path, module, "till_extras_printer:Printer")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert destination_class("printer").type == "printer"
    with pytest.raises(ConfigError, match="Did you mean 'printer'"):
        destination_class("printr")
    sys.modules.pop("till_extras_printer")


@pytest.mark.parametrize(
    ("module", "reason"),
    [("import nothing_of_that_name", "cannot be imported"), ("Printer = 3", "is no subclass of Destination")],
)
def test_a_broken_package_is_a_configuration_error(
    module: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What somebody else's package does wrong is reported by its name, not as a traceback from within it."""
    _install(tmp_path, module, "till_extras_printer:Printer")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ConfigError, match=f"'printer': till_extras_printer:Printer {reason}"):
        destination_class("printer")
    sys.modules.pop("till_extras_printer", None)
