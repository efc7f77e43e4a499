CREATE INDEX "items_owner_id_title_id_index" ON "items" USING btree ("owner_id",lower("title"),"id");--> statement-breakpoint
CREATE INDEX "items_title_id_index" ON "items" USING btree (lower("title"),"id");--> statement-breakpoint
CREATE INDEX "users_full_name_id_index" ON "users" USING btree (lower(coalesce("full_name", '')),"id");--> statement-breakpoint
-- By hand from here. Finds text anywhere in a column by its trigrams; without, a search reads all rows that it may see.
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
SELECT create_search_index('users', 'email', 'full_name');
