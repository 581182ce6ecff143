-- Silver -> the rows of `pipeline_mart`, written by hand for one tenant with one Odoo.
-- Variables: silver, bronze (the tenant's folders of both layers, with the slash), tenant, day.
WITH partners AS (
  SELECT source_id, arg_max(name, read_at) AS name
  FROM read_parquet([getvariable('silver') || 'entity=account/*/*/*.parquet', getvariable('silver') || 'entity=contact/*/*/*.parquet'],
                    union_by_name = true, hive_partitioning = false)
  GROUP BY source_id
),
users AS (
  SELECT person.source_id, coalesce(partners.name, person.name) AS name
  FROM (SELECT source_id, arg_max(name, read_at) AS name, arg_max(partner_id, read_at) AS partner_id
        FROM read_parquet(getvariable('silver') || 'entity=user/*/*/*.parquet', hive_partitioning = false) GROUP BY source_id) AS person
  LEFT JOIN partners ON partners.source_id = person.partner_id
),
stages AS (
  SELECT source_id, arg_max(raw_data, read_at) ->> 'name' AS name, CAST(arg_max(raw_data, read_at) ->> 'is_won' AS BOOLEAN) AS is_won
  FROM read_parquet(getvariable('bronze') || 'entity=crm_stage/*/*/*/*/*.parquet', hive_partitioning = false) GROUP BY source_id
),
teams AS (
  SELECT source_id, arg_max(raw_data, read_at) ->> 'name' AS name
  FROM read_parquet(getvariable('bronze') || 'entity=crm_team/*/*/*/*/*.parquet', hive_partitioning = false) GROUP BY source_id
),
versions AS (
  SELECT source_id, read_at, kind, change_type, value, probability, is_active, stage_id, team_id, owner_id, stage, team, owner_name,
         coalesce(stage_changed_date, created_date) AS since,
         CAST(regexp_extract(filename, '(\d{4}-\d{2}-\d{2})\.parquet$', 1) AS DATE) AS capture_date
  FROM read_parquet(getvariable('silver') || 'entity=opportunity/*/*/*.parquet', hive_partitioning = false, filename = true)
),
named AS (
  SELECT versions.* REPLACE (coalesce(stages.name, stage) AS stage, coalesce(teams.name, team) AS team,
                             coalesce(users.name, owner_name) AS owner_name),
         (coalesce(stage_id, 'none'), coalesce(team_id, 'none'), coalesce(owner_id, 'none')) AS place,
         CASE WHEN coalesce(stages.is_won, probability >= 100) THEN 'won' WHEN NOT is_active THEN 'lost' ELSE 'open' END AS status
  FROM versions
  LEFT JOIN users ON users.source_id = owner_id
  LEFT JOIN stages ON stages.source_id = stage_id
  LEFT JOIN teams ON teams.source_id = team_id
),
today AS (
  SELECT named.*, greatest(date_diff('day', CAST(since AS DATE), CAST(getvariable('day') AS DATE)), 0) AS days
  FROM named JOIN (SELECT source_id, max(read_at) AS read_at FROM versions GROUP BY source_id) USING (source_id, read_at)
  WHERE change_type = 'upsert' AND kind = 'opportunity'
),
yesterday AS (
  SELECT named.*
  FROM named JOIN (SELECT source_id, max(read_at) AS read_at FROM versions WHERE capture_date < CAST(getvariable('day') AS DATE)
                   GROUP BY source_id) USING (source_id, read_at)
  WHERE change_type = 'upsert' AND kind = 'opportunity' AND status = 'open'
),
moves AS (
  SELECT today.place, today.stage, today.team, today.owner_name, today.status, today.value, today.probability, today.days,
         today.status = 'open' AND yesterday.place IS DISTINCT FROM today.place AS entered, false AS has_left,
         CASE WHEN today.status = 'open' AND yesterday.place = today.place THEN today.value - yesterday.value END AS revaluation
  FROM today LEFT JOIN yesterday USING (source_id)
  UNION ALL
  SELECT yesterday.place, yesterday.stage, yesterday.team, yesterday.owner_name, 'left', yesterday.value, NULL, NULL, false, true, NULL
  FROM yesterday LEFT JOIN today USING (source_id)
  WHERE today.source_id IS NULL OR today.status <> 'open' OR today.place <> yesterday.place
)
SELECT getvariable('tenant') AS tenant_id,
       place[1] AS stage_id, coalesce(max(stage) FILTER (NOT has_left), max(stage), 'none') AS stage,
       place[2] AS team_id, coalesce(max(team) FILTER (NOT has_left), max(team), 'none') AS team,
       place[3] AS owner_id, coalesce(max(owner_name) FILTER (NOT has_left), max(owner_name), 'none') AS owner_name,
       count(*) FILTER (status = 'open') AS open_count,
       CAST(coalesce(sum(value) FILTER (status = 'open'), 0) AS DECIMAL(18,2)) AS value,
       CAST(coalesce(sum(value * probability / 100) FILTER (status = 'open'), 0) AS DECIMAL(18,2)) AS weighted_value,
       count(*) FILTER (entered) AS entered_count,
       CAST(coalesce(sum(value) FILTER (entered), 0) AS DECIMAL(18,2)) AS entered_value,
       count(*) FILTER (has_left) AS left_count,
       CAST(coalesce(sum(value) FILTER (has_left), 0) AS DECIMAL(18,2)) AS left_value,
       CAST(coalesce(sum(revaluation), 0) AS DECIMAL(18,2)) AS revaluation,
       round(avg(days) FILTER (status = 'open'), 2) AS average_days_in_stage,
       count(*) FILTER (status = 'won') AS won_count,
       count(*) FILTER (status = 'lost') AS lost_count,
       round(won_count / nullif(won_count + lost_count, 0), 4) AS win_rate,
       round(sum(won_count) OVER owner / nullif(sum(won_count + lost_count) OVER owner, 0), 4) AS owner_win_rate,
       'bench' AS run_id, CAST(current_timestamp AS TIMESTAMP) AS made_at
FROM moves
GROUP BY place
WINDOW owner AS (PARTITION BY team_id, owner_id)
