"""The last line of a bounded run, for whoever started it."""

import json


def report(monitor, status: dict, heap_used: int) -> None:
    """Print how a run of `monitor` (app.main.Monitor) ended: `VIGIL-END` and JSON. status: as of its last batch."""
    publisher, journal = monitor.publisher, monitor.journal
    said = {
        "sealed": publisher.sealed,
        "pending": len(journal),
        "dropped": journal.dropped,
        "damaged": journal.damaged,
        "lost_samples": sum(source.lost for source in monitor.acquisition.sources),
        "lost_readings": publisher.lost_readings,
        "restarts": monitor.supervisor.restarts,
        "resent": monitor.uplink.resent,
        "connects": monitor.client.session.connects if monitor.client else 0,
        "heap_free": status[0],
        "heap_used": heap_used,
        "heap_peak": monitor.heap_peak,
        "seal_us": monitor.sealer.mean_us,
    }
    print("VIGIL-END", json.dumps(said))
