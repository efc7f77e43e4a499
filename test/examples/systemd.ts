import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { bootSystemd } from './machine.ts'
import { becomes, commandsOf, statusOf } from './pages.ts'

const UNIT = 'docs/examples/groundwork.service'
/** Of 10.0; systemd calls what is below 2.0 "OK". */
const MOST_EXPOSED = 2

type Seen = (what: string, holds: boolean, detail?: string) => void

/** Whether systemd finds nothing wrong with the unit. */
export function checkUnit(seen: Seen) {
  const analyze = (...args: string[]) => spawnSync('systemd-analyze', [...args, UNIT], { encoding: 'utf8' })
  const { status, stdout, stderr } = analyze('verify', '--man=no')
  seen('systemd-analyze verify has nothing to say', status === 0 && stdout + stderr === '', stdout + stderr)
  const exposed = /exposure level for groundwork\.service: (\d+\.\d+)/.exec(
    analyze('security', '--offline=true').stdout,
  )?.[1]
  seen(`systemd-analyze security says ${exposed} of 10`, Number(exposed) <= MOST_EXPOSED, 'more than it was')
}

/**
 * Boots systemd, installs the unit as docs/operations.md says, and sees it run, crash and stop.
 *
 * @param under folder for what it needs
 * @param app a build, which is its /opt/groundwork
 */
export async function runUnit(seen: Seen, under: string, app: string, settings: Record<string, string>) {
  const { PORT } = settings
  const url = `http://127.0.0.1:${PORT}/health/ready`
  const lines = Object.entries(settings).map(([name, value]) => `${name}=${value}\n`)
  writeFileSync(join(app, 'settings.env'), lines.join(''))
  const machine = await bootSystemd(under, app)
  const show = (name: string) => machine.run(`systemctl show --property=${name} --value groundwork`)
  try {
    const [, install = ''] = commandsOf('systemd')
    machine.run(install)
    if (!(await becomes(url, 200))) throw new Error(machine.run('journalctl --unit=groundwork --lines=20'))
    seen('systemd starts it', true)
    seen('as a user of its own', machine.run(`ps -o user= -p ${show('MainPID')}`) === 'groundwork')
    const status = machine.run(`cat /proc/${show('MainPID')}/status`)
    for (const [what, line] of [
      ['it can gain no rights', /^NoNewPrivs:\t1$/m],
      ['it has no capabilities', /^CapBnd:\t0{16}$/m],
      ['its system calls are filtered', /^Seccomp:\t2$/m],
    ] as const)
      seen(what, line.test(status), status)
    const write = (file: string) =>
      machine.run(`nsenter --target ${show('MainPID')} --mount touch ${file} 2>&1 || true`)
    for (const file of ['/opt/groundwork/dist/server.js', '/etc/passwd', '/var/log/a-file'])
      seen(`it can't write ${file}`, write(file).includes('Read-only file system'), write(file))
    seen(
      'it can write its own folder',
      write('/var/lib/groundwork/a-file') === '',
      write('/var/lib/groundwork/a-file'),
    )
    seen(
      'others can read neither its settings nor its folder',
      machine.run('stat --format=%a /etc/groundwork/environment /var/lib/groundwork') === '600\n700',
    )

    machine.run('systemctl kill --signal=KILL --kill-whom=main groundwork')
    const gone = await becomes(url, 0)
    seen('after a crash it is started again', gone && (await becomes(url, 200)) && show('NRestarts') === '1')

    machine.run('systemctl stop groundwork')
    seen('it stops in good order', show('Result') === 'success' && show('ExecMainStatus') === '0')
    const log = machine.run('journalctl --unit=groundwork --output=cat')
    seen('the journal has its log', log.includes('"msg":"starting"') && log.includes('"msg":"stopped"'), log)
    seen('and nobody answers any more', (await statusOf(url)) === 0)
  } finally {
    await machine.stop()
  }
}
