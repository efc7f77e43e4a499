import type { KeySettings } from '../../config/secrets/keys.ts'
import type { Database } from '../../database/connect.ts'
import type { Batch } from '../../database/upkeep/batches.ts'
import { noteKeys } from './note-keys.ts'
import { resealFactors } from './reseal-factors.ts'

/** What is done about SECRET_KEY every minute (database/upkeep/housekeeping.ts). */
export const keyChores =
  (config: KeySettings) =>
  (db: Database): Record<string, Batch> => {
    const note = noteKeys(db, config)
    return {
      'signing key': async () => {
        await note()
        return 0
      },
      'second factors of the previous key': resealFactors(db, config),
    }
  }
