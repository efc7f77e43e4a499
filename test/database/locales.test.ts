import { sql } from 'drizzle-orm'
import postgres from 'postgres'
import { test } from 'tap'
import { connectPostgres } from '../../src/database/postgres.ts'
import { cheapHashing } from '../support/cheap-hashing.ts'
import { dropDatabase, needsPostgres } from '../support/database.ts'
import { launch, temporaryFolder } from '../support/process.ts'
import { startService } from '../support/service.ts'

const password = 'correct horse battery'
const LOCALES = {
  C: "lc_collate 'C' lc_ctype 'C'",
  'C.UTF-8': "lc_collate 'C.UTF-8' lc_ctype 'C.UTF-8'",
  'en-US': "locale_provider icu icu_locale 'en-US' lc_collate 'C' lc_ctype 'C'",
}

/** Each row has an address and other spellings of it; another row is another address. */
const ONE = [
  ['JOSÉ@example.com', 'josé@example.com', 'José@EXAMPLE.com', 'JOSE\u0301@example.com'],
  ['почта@example.com', 'ПОЧТА@example.com'],
  ['νίκος@example.com', 'ΝΊΚΟΣ@example.com', 'νίκοσ@example.com'],
  ['straẞe@example.com', 'STRAßE@example.com'],
  ['İnci@example.com', 'I\u0307nci@example.com'],
  ['inci@example.com', 'Inci@example.com'],
  ['ınci@example.com'],
  ['strasse@example.com'],
]

for (const [name, how] of Object.entries(LOCALES))
  void test(
    `in locale ${name}, an address is one whatever the case of its letters`,
    needsPostgres,
    async (t) => {
      const server = process.env.TEST_DATABASE_URL!
      const admin = postgres(server, { max: 1, onnotice: () => undefined })
      const database = `test_locale_${name.toLowerCase().replaceAll(/\W/g, '_')}`
      await admin.unsafe(`create database ${database} template template0 encoding 'UTF8' ${how}`)
      const url = Object.assign(new URL(server), { pathname: `/${database}` }).href
      const connection = connectPostgres({ url, migrationUrl: url, poolSize: 3, timeoutMs: 5_000 })
      await connection.migrate()
      const service = await startService(t, {}, { connection })
      cheapHashing(service)
      t.teardown(async () => {
        await service.close()
        await dropDatabase(server, url)
        await admin.end()
      })
      const signup = (email: string) => service.call('POST', '/users/signup', { body: { email, password } })

      for (const [email = '', ...others] of ONE) {
        t.equal((await signup(email)).status, 200, `${email} is nobody's yet`)
        for (const other of [email, ...others]) {
          t.equal((await signup(other)).status, 400, `${other} is ${email}`)
          t.equal((await service.signIn(other, password)).status, 200, `${other} signs in`)
        }
      }

      await t.test(
        'an address that another program stored in capitals signs in, in locale C after the doctor’s fix',
        async (t) => {
          await service.rows(
            sql`insert into users (email, hashed_password) values ('ÉTÉ@example.com', ${`cheap:${password}`})`,
          )
          const examine = async () => {
            const env = { DATABASE_URL: url, SECRET_KEY: 'only for tests, and long enough for that' }
            const doctor = await launch(t, { folder: temporaryFolder(t), env, script: 'scripts/doctor.ts' })
            await doctor.exited
            return /^! database +1 stored addresses have capital letters beyond ASCII.*: (update .*)$/m.exec(
              doctor.output(),
            )?.[1]
          }
          const mend = await examine()
          t.equal(mend === undefined, name !== 'C')
          if (mend !== undefined) await service.rows(sql.raw(mend))
          for (const email of ['été@example.com', 'ÉTÉ@example.com']) {
            t.equal((await service.signIn(email, password)).status, 200, email)
            t.equal((await signup(email)).status, 400, email)
          }
          t.equal(await examine(), undefined)
        },
      )
    },
  )
