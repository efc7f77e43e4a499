import type { Row } from './context.ts'
import { guard } from './probes.ts'
import { accountExport } from './shapes.ts'

const PATH = '/users/me/export'

/** The file with all of one's own data. */
export const accountExports: Row[] = [
  {
    operation: 'users-export_account',
    async walk(context) {
      const { api, cast, check } = context
      await guard(context, 'user', 'POST', PATH)
      const as = await cast.person()
      await cast.item(as)
      check.shape('all of mine', await api('POST', PATH, { as }), accountExport)
    },
  },
]
