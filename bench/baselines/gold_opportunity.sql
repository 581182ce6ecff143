-- Silver -> the rows of the mart `opportunity`, written by hand for one tenant with one Odoo.
-- Variables: silver, bronze (the tenant's folders of both layers, with the slash), tenant.
WITH versions AS (
  SELECT * FROM read_parquet(getvariable('silver') || 'entity=opportunity/*/*/*.parquet', hive_partitioning = false)
),
latest AS (
  SELECT source_id, max(read_at) AS read_at, min(read_at) AS first_seen FROM versions GROUP BY source_id
),
partners AS (
  SELECT source_id, arg_max(name, read_at) AS name, arg_max(display_name, read_at) AS display_name
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
countries AS (
  SELECT source_id, arg_max(raw_data, read_at) ->> 'name' AS name
  FROM read_parquet(getvariable('bronze') || 'entity=res_country/*/*/*/*/*.parquet', hive_partitioning = false) GROUP BY source_id
)
SELECT deal.tenant_id,
       deal.tenant_id || ':' || canonical_id AS serving_id,
       [canonical_id] AS canonical_refs,
       'current_state' AS aggregation_type,
       CAST(current_timestamp AS TIMESTAMP) AS last_aggregated,
       canonical_id, deal.name, kind, account_id, coalesce(partners.display_name, account_name) AS account_name, value, probability,
       CAST(value * probability / 100 AS DECIMAL(18,2)) AS weighted_value,
       stage_id, coalesce(stages.name, stage) AS stage,
       CASE WHEN coalesce(stages.is_won, probability >= 100) THEN 'won' WHEN NOT is_active THEN 'lost' ELSE 'open' END AS status,
       team_id, coalesce(teams.name, team) AS team, owner_id, coalesce(users.name, owner_name) AS owner_name, email, phone,
       coalesce(countries.name, country) AS country, city, lead_source, lost_reason, is_active,
       expected_close_date, created_date, modified_date, closed_date, stage_changed_date,
       quality_score, validation_status, first_seen, read_at AS last_updated, source, source_id, sync_batch_id,
       'bench' AS run_id, CAST(current_timestamp AS TIMESTAMP) AS made_at
FROM versions AS deal
JOIN latest USING (source_id, read_at)
LEFT JOIN partners ON partners.source_id = account_id
LEFT JOIN users ON users.source_id = owner_id
LEFT JOIN stages ON stages.source_id = stage_id
LEFT JOIN teams ON teams.source_id = team_id
LEFT JOIN countries ON countries.source_id = country_id
WHERE deal.change_type = 'upsert'
