SET LOCAL lock_timeout = '5s';--> statement-breakpoint
ALTER TABLE "one_time_tokens" ALTER COLUMN "slot" DROP NOT NULL;
