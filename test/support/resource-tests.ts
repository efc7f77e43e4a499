/** Tests that look at every resource, or at what one brings with it. */
export const ABOUT_RESOURCES = [
  'test/openapi.test.ts',
  'test/matrix.test.ts',
  'test/samples.test.ts',
  'test/database/search-index.test.ts',
  'test/database/list-counts.test.ts',
  'test/database/upgrade.test.ts',
  'test/resources/items.test.ts',
  'test/processes/migrations.test.ts',
]
