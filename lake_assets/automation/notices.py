"""Notices to people: a line in the log, and a JSON POST to `lake.webhook_url` where one is configured."""

import logging

import requests

from lake_config import Settings

log = logging.getLogger(__name__)


def send_notice(settings: Settings, text: str, **fields: str) -> None:
    """Send `text`. A webhook that does not answer is logged, never raised: the notice must not break what it is about."""
    log.error("notice: %s", text, extra=fields)
    if settings.lake.webhook_url is None:
        return
    try:
        url = settings.lake.webhook_url.reveal("lake.webhook_url")
        requests.post(url, json={"text": text, **fields}, timeout=10).raise_for_status()
    except Exception as error:
        # The exception's own text holds the URL, and with it the webhook's secret.
        log.warning("the notice could not be delivered to lake.webhook_url: %s", type(error).__name__)
