SELECT tenant_id,
       tenant_id || ':' || canonical_id AS serving_id,
       [canonical_id] AS canonical_refs,
       'current_state' AS aggregation_type,
       CAST(current_timestamp AS TIMESTAMP) AS last_aggregated,
       canonical_id, name, kind, account_id, account_name, value, probability,
       value * probability / 100 AS weighted_value,
       stage_id, stage,
       deal_status(is_won_stage, probability, is_active) AS status,
       team_id, team, owner_id, owner_name, email, phone, country, city, lead_source, lost_reason, is_active,
       expected_close_date, created_date, modified_date, closed_date, stage_changed_date,
       quality_score, validation_status, first_seen, last_updated, source, source_id, sync_batch_id
FROM silver.opportunity
