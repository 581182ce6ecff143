-- Bronze leads -> the rows of silver.opportunity, written by hand for this one table.
-- Variables: bronze (the file), root (the lake's, with the slash), tenant. Macros is_email and is_phone are the product's own: no
-- statement could hold the libraries behind them.
WITH parsed AS (
  SELECT source_id, change_type, source_modified_at, read_at, sync_batch_id, filename, file_row_number,
         json_transform(raw_data, '{
           "name": "VARCHAR", "type": "VARCHAR", "partner_id": ["VARCHAR"], "contact_name": "VARCHAR", "partner_name": "VARCHAR",
           "email_from": "VARCHAR", "email_normalized": "VARCHAR", "phone": "VARCHAR", "mobile": "VARCHAR", "expected_revenue": "VARCHAR",
           "probability": "VARCHAR", "stage_id": ["VARCHAR"], "team_id": ["VARCHAR"], "user_id": ["VARCHAR"], "company_id": ["VARCHAR"],
           "country_id": ["VARCHAR"], "city": "VARCHAR", "priority": "VARCHAR", "active": "VARCHAR", "lost_reason_id": ["VARCHAR"],
           "source_id": ["VARCHAR"], "tag_ids": ["BIGINT"], "date_deadline": "VARCHAR", "create_date": "VARCHAR", "write_date": "VARCHAR",
           "date_closed": "VARCHAR", "date_open": "VARCHAR", "date_last_stage_update": "VARCHAR"}') AS r
  FROM read_parquet(getvariable('bronze'), filename = true, file_row_number = true, hive_partitioning = false)
),
typed AS (
  SELECT nullif(r.name, 'false') AS name,
         nullif(r.type, 'false') AS kind,
         r.partner_id[1] AS account_id,
         r.partner_id[2] AS account_name,
         CAST(NULL AS VARCHAR) AS contact_id, nullif(r.contact_name, 'false') AS contact_name,
         nullif(r.partner_name, 'false') AS company_name,
         coalesce(nullif(nullif(r.email_from, 'false'), ''), nullif(r.email_normalized, 'false')) AS email,
         coalesce(nullif(nullif(r.phone, 'false'), ''), nullif(nullif(r.mobile, 'false'), '')) AS phone,
         TRY_CAST(r.expected_revenue AS DECIMAL(18,2)) AS value, CAST(NULL AS VARCHAR) AS currency,
         TRY_CAST(r.probability AS DOUBLE) AS probability,
         r.stage_id[1] AS stage_id, r.stage_id[2] AS stage, CAST(NULL AS BOOLEAN) AS is_won_stage,
         r.team_id[1] AS team_id, r.team_id[2] AS team,
         r.user_id[1] AS owner_id, r.user_id[2] AS owner_name,
         r.company_id[1] AS company_id,
         r.country_id[1] AS country_id, r.country_id[2] AS country,
         nullif(r.city, 'false') AS city,
         TRY_CAST(nullif(r.priority, 'false') AS BIGINT) AS priority,
         TRY_CAST(r.active AS BOOLEAN) AS is_active,
         r.lost_reason_id[2] AS lost_reason,
         r.source_id[2] AS lead_source,
         CAST(r.tag_ids AS VARCHAR[]) AS tag_ids,
         TRY_CAST(nullif(r.date_deadline, 'false') AS DATE) AS expected_close_date,
         TRY_CAST(nullif(r.create_date, 'false') AS TIMESTAMP) AS created_date,
         TRY_CAST(nullif(r.write_date, 'false') AS TIMESTAMP) AS modified_date,
         TRY_CAST(nullif(r.date_closed, 'false') AS TIMESTAMP) AS closed_date,
         TRY_CAST(nullif(r.date_open, 'false') AS TIMESTAMP) AS assigned_date,
         TRY_CAST(nullif(r.date_last_stage_update, 'false') AS TIMESTAMP) AS stage_changed_date, CAST(NULL AS VARCHAR) AS custom_fields,
         source_id, change_type, source_modified_at, read_at, sync_batch_id, filename, file_row_number
  FROM parsed
),
checked AS MATERIALIZED (  -- else the condition below makes DuckDB parse each record three times
  SELECT *,
         name IS NULL OR trim(name, E' \t\r\n') = '' AS no_name,
         email IS NOT NULL AND NOT is_email(email) AS bad_email,
         phone IS NOT NULL AND NOT is_phone(phone) AS bad_phone,
         coalesce(probability < 0 OR probability > 100, false) AS bad_probability,
         coalesce(kind NOT IN ('lead', 'opportunity'), false) AS bad_kind,
         coalesce(value < 0, false) AS bad_value,
         coalesce(kind = 'opportunity' AND owner_id IS NULL, false) AS no_owner
  FROM typed
)
SELECT getvariable('tenant') AS tenant_id,
       'opp-' || source_id || '-odoo' AS canonical_id,
       [{'source': 'odoo', 'source_id': source_id}] AS source_refs,
       name, kind, account_id, account_name, contact_id, contact_name, company_name, email, phone, value, currency, probability, stage_id, stage, is_won_stage,
       team_id, team, owner_id, owner_name, company_id, country_id, country, city, priority, is_active, lost_reason, lead_source, tag_ids,
       expected_close_date, created_date, modified_date, closed_date, assigned_date, stage_changed_date, custom_fields,
       'odoo' AS source, source_id,
       CASE WHEN bad_email OR bad_phone OR bad_probability OR bad_kind OR bad_value OR no_owner THEN 'flagged' ELSE 'valid' END
         AS validation_status,
       CASE WHEN bad_email OR bad_phone OR bad_probability OR bad_kind OR bad_value OR no_owner
            THEN list_filter([CASE WHEN bad_kind THEN 'kind: none of lead, opportunity' END,
                              CASE WHEN bad_email THEN 'email: not an e-mail address' END,
                              CASE WHEN bad_phone THEN 'phone: not a telephone number' END,
                              CASE WHEN bad_probability THEN 'probability: outside 0..100' END,
                              CASE WHEN bad_value THEN 'value_not_negative: the expected revenue is negative' END,
                              CASE WHEN no_owner THEN 'owner_assigned: an opportunity without a salesperson' END],
                             lambda message: message IS NOT NULL)
            ELSE CAST([] AS VARCHAR[]) END AS validation_errors,
       round((1 + CAST(account_name IS NOT NULL AS INTEGER) + CAST(email IS NOT NULL AND NOT bad_email AS INTEGER)
              + CAST(phone IS NOT NULL AND NOT bad_phone AS INTEGER) + CAST(value IS NOT NULL AS INTEGER)
              + CAST(probability IS NOT NULL AND NOT bad_probability AS INTEGER) + CAST(stage IS NOT NULL AS INTEGER)
              + CAST(owner_id IS NOT NULL AS INTEGER)) / 8, 4) AS quality_score,
       change_type, source_modified_at, read_at,
       substr(filename, len(getvariable('root')) + 1) AS bronze_file, file_row_number AS bronze_row, sync_batch_id
FROM checked
WHERE NOT no_name
