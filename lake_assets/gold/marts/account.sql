-- A company's figures include those of its people. Amounts are in the company currency of the source, so that they can be added.
WITH party AS (
  SELECT source, source_id AS partner_id, source_id AS account_id FROM silver.account
  UNION ALL
  SELECT source, source_id, coalesce(commercial_account_id, account_id) FROM silver.contact
),
people AS (
  SELECT source, coalesce(commercial_account_id, account_id) AS account_id, count(*) AS contact_count
  FROM silver.contact WHERE is_active IS NOT FALSE GROUP BY ALL
),
deals AS (
  SELECT party.source, party.account_id, deal_status(is_won_stage, probability, is_active) AS status, value, probability,
         coalesce(modified_date, created_date) AS active_at
  FROM silver.opportunity AS deal JOIN party ON party.source = deal.source AND party.partner_id = deal.account_id
  WHERE kind = 'opportunity'
),
pipeline AS (
  SELECT source, account_id,
         count(*) FILTER (status = 'open') AS open_deal_count, sum(value) FILTER (status = 'open') AS open_deal_value,
         sum(value * probability / 100) FILTER (status = 'open') AS open_deal_weighted_value,
         count(*) FILTER (status = 'won') AS won_deal_count, sum(value) FILTER (status = 'won') AS won_deal_value,
         count(*) FILTER (status = 'lost') AS lost_deal_count, sum(value) FILTER (status = 'lost') AS lost_deal_value,
         max(active_at) AS last_deal_at
  FROM deals GROUP BY ALL
),
orders AS (
  SELECT party.source, party.account_id, count(*) AS order_count,
         sum(CAST(amount_total / coalesce(nullif(currency_rate, 0), 1) AS DECIMAL(18,2))) AS ordered_amount,
         max(ordered_at) AS last_order_at
  FROM silver.sales_order AS sales_order JOIN party ON party.source = sales_order.source AND party.partner_id = sales_order.customer_id
  WHERE state IN ('sale', 'done') GROUP BY ALL
),
invoices AS (
  SELECT source, account_id, count(*) FILTER (kind = 'out_invoice') AS invoice_count, sum(amount_total_signed) AS invoiced_amount,
         sum(amount_residual_signed) AS open_amount, max(invoice_date) AS last_invoice_date
  FROM silver.invoice
  WHERE state = 'posted' AND kind IN ('out_invoice', 'out_refund', 'out_receipt') GROUP BY ALL
)
SELECT account.tenant_id,
       account.tenant_id || ':' || account.canonical_id AS serving_id,
       [account.canonical_id] AS canonical_refs,
       'current_state' AS aggregation_type,
       CAST(current_timestamp AS TIMESTAMP) AS last_aggregated,
       account.canonical_id, account.name, account.display_name, account.tax_number, account.email, account.phone, account.website,
       account.street, account.city, account.postal_code, account.state, account.country, account.country_code, account.industry,
       account.parent_id, account.parent_name, account.owner_id, account.owner_name, account.team_id, account.team, account.is_active,
       coalesce(contact_count, 0) AS contact_count,
       coalesce(open_deal_count, 0) AS open_deal_count, coalesce(open_deal_value, 0) AS open_deal_value,
       coalesce(open_deal_weighted_value, 0) AS open_deal_weighted_value,
       coalesce(won_deal_count, 0) AS won_deal_count, coalesce(won_deal_value, 0) AS won_deal_value,
       coalesce(lost_deal_count, 0) AS lost_deal_count, coalesce(lost_deal_value, 0) AS lost_deal_value,
       coalesce(order_count, 0) AS order_count, coalesce(ordered_amount, 0) AS ordered_amount,
       coalesce(invoice_count, 0) AS invoice_count, coalesce(invoiced_amount, 0) AS invoiced_amount,
       coalesce(open_amount, 0) AS open_amount,
       last_deal_at, last_order_at, last_invoice_date,
       greatest(last_deal_at, last_order_at, CAST(last_invoice_date AS TIMESTAMP)) AS last_activity_at,
       account.created_at, account.modified_at, account.quality_score, account.validation_status, account.first_seen,
       account.last_updated, account.source, account.source_id, account.sync_batch_id
FROM silver.account AS account
LEFT JOIN people ON people.source = account.source AND people.account_id = account.source_id
LEFT JOIN pipeline ON pipeline.source = account.source AND pipeline.account_id = account.source_id
LEFT JOIN orders ON orders.source = account.source AND orders.account_id = account.source_id
LEFT JOIN invoices ON invoices.source = account.source AND invoices.account_id = account.source_id
