-- By hand. Lists of everything count for themselves, or estimate (src/ownership/page-sql.ts): no write pays for a count any more.
SET LOCAL lock_timeout = '5s';--> statement-breakpoint
-- With the triggers of every table that was counted, those of resources of your own too.
DROP FUNCTION IF EXISTS count_rows() CASCADE;--> statement-breakpoint
-- Migrations of your own may call it still.
CREATE OR REPLACE FUNCTION maintain_count("table" regclass) RETURNS void LANGUAGE plpgsql AS $$ BEGIN END $$;--> statement-breakpoint
-- Replicas of the version before read the table still; where it is empty, they count by themselves. One that sums it up just
-- now is waited for, as it would leave a row.
LOCK TABLE "row_counts" IN SHARE ROW EXCLUSIVE MODE;--> statement-breakpoint
DELETE FROM "row_counts";
