import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'

/** A systemd that was booted in namespaces (boot-systemd.sh). */
export interface Machine {
  /**
   * Runs a command of the shell in it, as root, in /opt/groundwork.
   *
   * @throws Error with what it printed, where it fails
   */
  run(command: string): string
  stop(): Promise<void>
}

const BOOT_WITHIN_MS = 60_000

/**
 * @param under folder for what it needs
 * @param app what is its /opt/groundwork
 */
export async function bootSystemd(under: string, app: string): Promise<Machine> {
  const root = join(under, 'machine')
  mkdirSync(root)
  let output = ''
  const outer = spawn('bash', ['test/examples/boot-systemd.sh', root, app], { stdio: 'pipe' })
  for (const stream of [outer.stdout, outer.stderr])
    stream.on('data', (chunk: Buffer) => (output += chunk.toString()))
  const exited = once(outer, 'exit')
  const kill = () => outer.kill('SIGKILL')
  process.once('exit', kill)
  const inside = (command: string) => {
    const namespaces = ['--mount', '--pid', '--uts', '--ipc', '--cgroup', '--root']
    const target = ['--target', firstProcess(outer.pid!)]
    const { PATH } = process.env
    return spawnSync('nsenter', [...target, ...namespaces, 'sh', '-ec', `cd /opt/groundwork; ${command}`], {
      encoding: 'utf8',
      env: { PATH },
    })
  }
  for (const end = Date.now() + BOOT_WITHIN_MS; ; await pause(100)) {
    if (/^(running|degraded)$/m.test(inside('systemctl is-system-running').stdout)) break
    if (outer.exitCode !== null || Date.now() > end) throw new Error(`systemd does not boot: ${output}`)
  }
  return {
    run(command) {
      const { status, stdout, stderr } = inside(command)
      if (status !== 0) throw new Error(`${command}: ${stdout}${stderr}`)
      return stdout.trim()
    },
    async stop() {
      process.off('exit', kill)
      kill()
      await exited
      // Processes need a moment to die.
      const remove = `mount -t cgroup2 none "$0" && cd "$0" && for attempt in $(seq 50); do
        find "groundwork-$1" -depth -type d -exec rmdir {} + && exit; sleep 0.1; done`
      spawnSync('unshare', ['--mount', 'sh', '-c', remove, root, String(outer.pid)])
    },
  }
}

/** The one that is number 1 inside: the child of `unshare`, once there is one. */
function firstProcess(pid: number): string {
  const child = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim()
  return child === '' ? '0' : child
}
