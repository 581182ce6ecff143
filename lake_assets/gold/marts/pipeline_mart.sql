-- Each deal as it is and as it was the day before, side by side; then one row for each stage, team and owner that has any of them.
WITH today AS (
  SELECT tenant_id, source, source_id, deal_status(is_won_stage, probability, is_active) AS status, value, probability,
         (coalesce(unique_id(stage_id, source), 'none'), coalesce(unique_id(team_id, source), 'none'),
          coalesce(unique_id(owner_id, source), 'none')) AS place,
         stage, team, owner_name,
         greatest(date_diff('day', CAST(coalesce(stage_changed_date, created_date) AS DATE), getvariable('snapshot_date')), 0) AS days
  FROM silver.opportunity WHERE kind = 'opportunity'
),
yesterday AS (
  SELECT tenant_id, source, source_id, value,
         (coalesce(unique_id(stage_id, source), 'none'), coalesce(unique_id(team_id, source), 'none'),
          coalesce(unique_id(owner_id, source), 'none')) AS place,
         stage, team, owner_name
  FROM previous.opportunity
  WHERE kind = 'opportunity' AND deal_status(is_won_stage, probability, is_active) = 'open'
),
moves AS (
  SELECT today.tenant_id, today.place, today.stage, today.team, today.owner_name, today.status, today.value, today.probability, today.days,
         status = 'open' AND yesterday.place IS DISTINCT FROM today.place AS entered, false AS has_left,
         CASE WHEN status = 'open' AND yesterday.place = today.place THEN today.value - yesterday.value END AS revaluation
  FROM today LEFT JOIN yesterday USING (source, source_id)
  UNION ALL
  SELECT yesterday.tenant_id, yesterday.place, yesterday.stage, yesterday.team, yesterday.owner_name, 'left', yesterday.value, NULL, NULL, false, true, NULL
  FROM yesterday LEFT JOIN today USING (source, source_id)
  WHERE today.source_id IS NULL OR today.status <> 'open' OR today.place <> yesterday.place
),
before AS (SELECT count(*) > 0 AS is_known FROM previous.opportunity_changes)
SELECT any_value(tenant_id) AS tenant_id,
       place[1] AS stage_id, coalesce(max(stage) FILTER (NOT has_left), max(stage), 'none') AS stage,
       place[2] AS team_id, coalesce(max(team) FILTER (NOT has_left), max(team), 'none') AS team,
       place[3] AS owner_id, coalesce(max(owner_name) FILTER (NOT has_left), max(owner_name), 'none') AS owner_name,
       count(*) FILTER (status = 'open') AS open_count,
       coalesce(sum(value) FILTER (status = 'open'), 0) AS value,
       coalesce(sum(value * probability / 100) FILTER (status = 'open'), 0) AS weighted_value,
       CASE WHEN is_known THEN count(*) FILTER (entered) END AS entered_count,
       CASE WHEN is_known THEN coalesce(sum(value) FILTER (entered), 0) END AS entered_value,
       CASE WHEN is_known THEN count(*) FILTER (has_left) END AS left_count,
       CASE WHEN is_known THEN coalesce(sum(value) FILTER (has_left), 0) END AS left_value,
       CASE WHEN is_known THEN coalesce(sum(revaluation), 0) END AS revaluation,
       round(avg(days) FILTER (status = 'open'), 2) AS average_days_in_stage,
       count(*) FILTER (status = 'won') AS won_count,
       count(*) FILTER (status = 'lost') AS lost_count,
       round(won_count / nullif(won_count + lost_count, 0), 4) AS win_rate,
       round(sum(won_count) OVER owner / nullif(sum(won_count + lost_count) OVER owner, 0), 4) AS owner_win_rate
FROM moves CROSS JOIN before
GROUP BY place, is_known
WINDOW owner AS (PARTITION BY team_id, owner_id)
