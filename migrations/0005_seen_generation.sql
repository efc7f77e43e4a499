SET LOCAL lock_timeout = '5s';--> statement-breakpoint
-- Without the default first: of sessions that are there nobody knows, and null says so.
ALTER TABLE "sessions" ADD COLUMN IF NOT EXISTS "seen_generation" integer;--> statement-breakpoint
ALTER TABLE "sessions" ALTER COLUMN "seen_generation" SET DEFAULT 0;
