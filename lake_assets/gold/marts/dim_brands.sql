-- A brand is what products name; a server without brands has the one brand `unbranded`.
SELECT any_value(tenant_id) AS tenant_id,
       CASE WHEN trim(brand) <> '' THEN coalesce(unique_id(brand_id, source), trim(brand)) ELSE 'unbranded' END AS brand_id,
       coalesce(max(nullif(trim(brand), '')), 'unbranded') AS brand,
       count(*) AS product_count,
       count(*) FILTER (is_active IS NOT FALSE) AS active_product_count
FROM silver.product
GROUP BY 2
