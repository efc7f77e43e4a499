-- By hand. Finds text anywhere in a column by its trigrams; without, a search reads all rows that it may see.
-- Not in tables.ts, as a database may lack the extension, or allow it to nobody but its administrator. Then:
--   CREATE EXTENSION pg_trgm; SELECT create_search_index('items', 'title', 'description'); SELECT create_search_index('users', 'email', 'full_name');
CREATE FUNCTION create_search_index("table" regclass, VARIADIC "columns" text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  CREATE EXTENSION IF NOT EXISTS pg_trgm;
  EXECUTE format(
    'CREATE INDEX IF NOT EXISTS %I ON %s USING gin (%s)',
    "table" || '_search_index',
    "table",
    (SELECT string_agg(format('%I gin_trgm_ops', name), ', ') FROM unnest("columns") AS name)
  );
EXCEPTION WHEN insufficient_privilege OR undefined_file OR feature_not_supported OR undefined_object THEN
  RAISE NOTICE 'Searching % goes without an index: %', "table", SQLERRM;
END $$;--> statement-breakpoint
SELECT create_search_index('items', 'title', 'description');--> statement-breakpoint
SELECT create_search_index('users', 'email', 'full_name');--> statement-breakpoint
-- How many rows large tables have (row_counts). A few rows live at a time, and many go: they are vacuumed early.
ALTER TABLE "row_counts" SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_insert_threshold = -1);--> statement-breakpoint
-- As its owner, since whoever may write to a counted table need not be allowed to write here.
CREATE FUNCTION count_rows() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  change bigint;
  newest bigint;
  reach bigint;
  is_read_committed boolean := current_setting('transaction_isolation') IN ('read committed', 'read uncommitted');
BEGIN
  IF TG_OP = 'TRUNCATE' THEN
    -- Nobody else writes to the table meanwhile, but an older snapshot would not show all that was written before.
    IF NOT is_read_committed THEN
      RAISE feature_not_supported USING MESSAGE = 'A counted table can be truncated in READ COMMITTED only';
    END IF;
    DELETE FROM row_counts WHERE table_name = TG_TABLE_NAME;
    INSERT INTO row_counts (table_name, delta) VALUES (TG_TABLE_NAME, 0);
    RETURN NULL;
  END IF;

  SELECT CASE TG_OP WHEN 'INSERT' THEN count(*) ELSE -count(*) END INTO change FROM changed;
  IF change = 0 THEN
    RETURN NULL;
  END IF;
  INSERT INTO row_counts (table_name, delta) VALUES (TG_TABLE_NAME, change) RETURNING id INTO newest;

  -- About every fiftieth write sums up what nobody else does at the moment; one in a hundred of them looks for what was
  -- left behind by slow transactions, the others no further back than there should be any.
  IF random() < 0.02 AND is_read_committed THEN
    reach := CASE WHEN random() < 0.01 THEN newest ELSE 1000 END;
    WITH summed AS (
      DELETE FROM row_counts WHERE id IN (
        SELECT id FROM row_counts
        WHERE table_name = TG_TABLE_NAME AND id > newest - reach
        FOR UPDATE SKIP LOCKED
      )
      RETURNING delta
    )
    INSERT INTO row_counts (table_name, delta) SELECT TG_TABLE_NAME, sum(delta) FROM summed HAVING count(*) > 0;
  END IF;
  RETURN NULL;
END $$;--> statement-breakpoint
-- Has a table counted from now on; once more, and it is counted anew.
CREATE FUNCTION maintain_count("table" regclass) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  name text := (SELECT relname FROM pg_class WHERE oid = "table");
BEGIN
  EXECUTE format('CREATE OR REPLACE TRIGGER count_inserted AFTER INSERT ON %s REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION count_rows()', "table");
  EXECUTE format('CREATE OR REPLACE TRIGGER count_deleted AFTER DELETE ON %s REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION count_rows()', "table");
  EXECUTE format('CREATE OR REPLACE TRIGGER count_truncated AFTER TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION count_rows()', "table");
  -- Since the triggers are there, nobody writes to the table until this transaction ends.
  DELETE FROM row_counts WHERE table_name = name;
  EXECUTE format('INSERT INTO row_counts (table_name, delta) SELECT %L, count(*) FROM %s', name, "table");
END $$;--> statement-breakpoint
SELECT maintain_count('items');--> statement-breakpoint
SELECT maintain_count('users');
