"""The seller's metering feed: CSV files in a folder, one a day, and now and then one that corrects a day.

INVENTED: AWS offers no reading of metering; sellers read back delivery feeds or their own ledgers, whose columns differ. These
are the ones of the lake's MeterUsage record. A later file's row replaces an earlier one of the same `metering_record_id`.
"""

import csv
import os
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

from sandbox.aws.market_story import usage_row
from sandbox.collection import Collection, Record
from sandbox.days import often
from sandbox.world import World

COLUMNS: tuple[str, ...] = (
    "metering_record_id", "product_code", "license_arn", "customer_identifier", "customer_aws_account_id", "dimension",
    "timestamp", "quantity", "status", "allocations", "sent_at",
)  # fmt: skip
MOST_METERS = 200
"""Agreements that are metered: files stay small however many agreements there are."""


def published(day: date) -> datetime:
    """When a day's usage lies in the folder."""
    return datetime.combine(day + timedelta(days=1), time(4), UTC)


class Feed:
    """The files, and the rows that hold after all corrections.

    Parameters:
        folder: exists or is made; old files of an earlier sandbox in it are removed.
    """

    def __init__(self, world: World, folder: Path) -> None:
        self.world, self.folder = world, folder
        self.rows = Collection("meter_usage", "metering_record_id", "sent_at")
        self._by_day: dict[date, list[str]] = {}
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob("meter_usage_*.csv"):
            old.unlink()

    def publish(self, day: date, meters: list[tuple[Record, str]]) -> list[str]:
        """Write a day's usage, sent in the small hours after it. `meters`: agreement and product code. The ids written."""
        sent = datetime.combine(day + timedelta(days=1), time(3), UTC)
        rows = []
        for agreement, code in meters[:MOST_METERS]:
            random = self.world.random("meter", f"{day}/{agreement['agreementId']}")
            for _ in range(1 + often(random, 0.6)):
                hour = datetime.combine(day, time(random.randrange(24)), UTC)
                rows.append(usage_row(random, agreement, code, hour, sent))
        self._by_day[day] = [row["metering_record_id"] for row in rows]
        self.write(f"meter_usage_{day}.csv", rows, sent)
        return self._by_day[day]

    def correct(self, day: date, today: date) -> list[str]:
        """Write a correction of a tenth of a day's rows, sent today; the ids written."""
        random = self.world.random("meter correction", f"{day}/{today}")
        sent = datetime.combine(today + timedelta(days=1), time(4), UTC)
        known = self._by_day.get(day, [])
        chosen = sorted(random.sample(known, (len(known) + 9) // 10))
        rows = [{**self.rows.rows[key], "quantity": str(random.randrange(1, 5000)), "sent_at": f"{sent:%Y-%m-%dT%H:%M:%SZ}"}
                for key in chosen]  # fmt: skip
        if rows:
            self.write(f"meter_usage_{day}_corrected_{today}.csv", rows, sent)
        return chosen

    def write(self, name: str, rows: list[Record], moment: datetime) -> None:
        """One file, there at once and whole, dated by the story's clock."""
        aside = self.folder / f".{name}"
        with aside.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)
        os.utime(aside, (moment.timestamp(), moment.timestamp()))
        aside.rename(self.folder / name)
        for row in rows:
            self.rows.put(row)
