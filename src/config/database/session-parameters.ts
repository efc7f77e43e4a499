/**
 * Session settings that a database or a role may have changed and that would change answers. Every connection sets them at
 * start. PgBouncer tracks these two per client, and refuses the others ("unsupported startup parameter").
 */
export const throughPooler = { DateStyle: 'ISO, MDY', TimeZone: 'UTC' }

export const direct = {
  ...throughPooler,
  IntervalStyle: 'postgres',
  bytea_output: 'hex',
  extra_float_digits: '1',
  standard_conforming_strings: 'on',
  transform_null_equals: 'off',
  search_path: 'public',
  default_transaction_isolation: 'read committed',
} as const
