SELECT product.tenant_id,
       unique_id(product.source_id, product.source) AS product_id,
       product.name AS product_name,
       product.default_code AS product_code,
       coalesce(tree.path, product.category) AS product_category,
       unique_id(product.category_id, product.source) AS category_id,
       CASE WHEN trim(product.brand) <> '' THEN coalesce(unique_id(product.brand_id, product.source), trim(product.brand)) ELSE 'unbranded' END AS brand_id,
       coalesce(nullif(trim(product.brand), ''), 'unbranded') AS brand,
       product.list_price,
       coalesce(product.is_active, true) AS active,
       product.barcode,
       unique_id(product.product_template_id, product.source) AS product_template_id,
       product.kind, product.unit, product.weight, product.volume, product.source, product.source_id
FROM silver.product AS product
LEFT JOIN category_tree('silver.product_category') AS tree ON tree.source = product.source AND tree.source_id = product.category_id
