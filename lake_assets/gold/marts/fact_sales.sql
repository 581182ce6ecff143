-- One row for each line of a till order that counts as a sale.
SELECT line.tenant_id,
       CAST(timezone(getvariable('timezone'), timezone('UTC', sale.ordered_at)) AS DATE) AS date,
       sale.ordered_at AS date_time,
       unique_id(sale.source_id, sale.source) AS order_id,
       sale.order_number AS order_name,
       unique_id(line.source_id, line.source) AS line_id,
       unique_id(line.product_id, line.source) AS product_id,
       line.quantity, line.price_unit, line.discount,
       line.price_subtotal AS revenue,
       line.price_subtotal_incl AS revenue_with_tax,
       line.total_cost AS cost,
       sale.currency,
       unique_id(sale.store_id, sale.source) AS store_id, sale.store,
       unique_id(sale.cashier_user_id, sale.source) AS cashier_id, sale.cashier,
       unique_id(sale.customer_id, sale.source) AS customer_id,
       unique_id(sale.session_id, sale.source) AS session_id,
       line.refunded_line_id IS NOT NULL OR line.quantity < 0 AS is_refund,
       unique_id(line.refunded_line_id, line.source) AS refunded_line_id,
       sale.state, line.source, line.source_id, line.sync_batch_id
FROM silver.pos_order_line AS line
JOIN silver.pos_order AS sale ON sale.source = line.source AND sale.source_id = line.order_id
WHERE is_sold(sale.state)
