SELECT category.tenant_id,
       unique_id(category.source_id, category.source) AS category_id,
       category.name AS category,
       coalesce(tree.path, category.complete_name) AS category_path,
       CASE WHEN tree.level > 0 THEN unique_id(category.parent_id, category.source) END AS parent_id,
       above.name AS parent,
       tree.level,
       unique_id(tree.root_id, category.source) AS root_id,
       tree.root,
       category.source, category.source_id
FROM silver.product_category AS category
LEFT JOIN category_tree('silver.product_category') AS tree USING (source, source_id)
LEFT JOIN silver.product_category AS above ON above.source = category.source AND above.source_id = category.parent_id
