import type { Answer } from './client.ts'
import type { Row } from './context.ts'
import { rows } from './shapes.ts'

/** The last row: it can only be walked where the walk's own superuser is the only one. */
export const lastSuperuser: Row[] = [
  {
    operation: 'users-update_user (the last superuser)',
    async walk({ api, cast, check }) {
      await cast.tidy()
      const others = []
      for (let skip = 0; ; skip += 1000) {
        const { body } = await api('GET', `/users/?skip=${skip}&limit=1000`, { as: cast.admin })
        const page = rows(body)
        others.push(...page.filter((one) => one.is_superuser && one.is_active && one.id !== cast.admin.id))
        if (page.length < 1000) break
      }
      check.note = others.length > 0 ? `not walked: ${others.length} other active superusers` : ''
      if (others.length > 0) return
      const patch = async (json: unknown): Promise<Answer> =>
        api('PATCH', `/users/${cast.admin.id}`, { as: cast.admin, json })
      const refusal = 'The last active superuser cannot be removed'
      check.error('403 for demotion', await patch({ is_superuser: false }), 403, refusal)
      check.error('403 for deactivation', await patch({ is_active: false }), 403, refusal)
      check.status('still signed in', await api('GET', '/users/', { as: cast.admin }), 200)
    },
  },
]
