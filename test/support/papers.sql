-- The table of papers.ts, and its search index, as its migrations would make them. In one statement.
DO $$
BEGIN
  CREATE TABLE "papers" (
    "id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
    "title" varchar(255) NOT NULL,
    "description" varchar(255),
    "owner_id" uuid NOT NULL,
    "created_at" timestamp (3) with time zone DEFAULT now() NOT NULL
  );
  ALTER TABLE "papers" ADD CONSTRAINT "papers_owner_id_users_id_fk" FOREIGN KEY ("owner_id") REFERENCES "public"."users"("id") ON DELETE cascade ON UPDATE no action;
  CREATE INDEX "papers_owner_id_created_at_id_index" ON "papers" USING btree ("owner_id","created_at","id");
  CREATE INDEX "papers_created_at_id_index" ON "papers" USING btree ("created_at","id");
  CREATE INDEX "papers_owner_id_title_id_index" ON "papers" USING btree ("owner_id",lower("title"),"id");
  CREATE INDEX "papers_title_id_index" ON "papers" USING btree (lower("title"),"id");
  PERFORM create_search_index('papers', 'title', 'description');
END $$
