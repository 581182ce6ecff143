-- What the statements of several marts say the same way.

-- An id that is unique for the tenant: plain for the source instance that was captured first, with the instance's name behind it for others.
CREATE TEMP MACRO unique_id(id, instance) AS
  CASE WHEN instance = getvariable('first_source') THEN id ELSE id || '-' || instance END;

-- A deal is won once it stands in a stage that means so (or is certain); an archived one that is not won is lost.
CREATE TEMP MACRO deal_status(is_won_stage, probability, is_active) AS
  CASE WHEN coalesce(is_won_stage, probability >= 100) THEN 'won' WHEN NOT is_active THEN 'lost' ELSE 'open' END;

-- Till orders that count as sales; drafts and cancelled ones do not.
CREATE TEMP MACRO is_sold(state) AS state IN ('paid', 'done', 'invoiced');

-- Categories from the top down by their current names: a stored path keeps the old name of a category above that was renamed.
-- A category whose parent is unknown stands at the top. `categories` names the relation.
CREATE TEMP MACRO category_tree(categories) AS TABLE
  WITH RECURSIVE tree AS (
    SELECT source, source_id, source_id AS root_id, name AS root, name AS path, 0 AS level
    FROM query_table(categories) AS category
    WHERE parent_id IS NULL OR NOT EXISTS (
      FROM query_table(categories) AS above WHERE above.source = category.source AND above.source_id = category.parent_id)
    UNION ALL
    SELECT below.source, below.source_id, tree.root_id, tree.root, tree.path || ' / ' || below.name, tree.level + 1
    FROM tree JOIN query_table(categories) AS below ON below.source = tree.source AND below.parent_id = tree.source_id
  )
  FROM tree;
