import type { Command } from '../shell.ts'
import { print, success } from './arguments.ts'
import { arping } from './arping.ts'
import { df, lsblk, wipefs } from './disks.ts'
import { chmod, cp, install, ls, mkdir, mv, rm, stat, test } from './files.ts'
import { ip } from './ip.ts'
import { networkctl, resolvectl } from './network.ts'
import { nc, ping } from './ping.ts'
import { commandBuiltin, env, shell, timeout } from './scripts.ts'
import {
  date,
  formatted,
  free,
  hostnameCommand,
  hostnamectl,
  idText,
  kairosAgent,
  mokutil,
  reboot,
  sudo,
  systemctl,
  timedatectl,
  unameText,
} from './system.ts'
import { base64, cat, grep, head, sha256sum, tail, tee, wc } from './text.ts'

/** Everything that a simulated node can do over SSH; grows with what the product asks for. */
export const commands: ReadonlyMap<string, Command> = new Map<string, Command>([
  ['kairos-agent', kairosAgent],
  ['hostname', hostnameCommand],
  ['hostnamectl', hostnamectl],
  ['sudo', sudo],
  ['sh', shell],
  ['bash', shell],
  ['date', date],
  ['free', free],
  ['nproc', print((call) => `${call.node.hardware.cpus}\n`)],
  ['lsblk', lsblk],
  ['wipefs', wipefs],
  ['df', df],
  ['ip', ip],
  ['timedatectl', timedatectl],
  ['systemctl', systemctl],
  ['networkctl', networkctl],
  ['resolvectl', resolvectl],
  ['reboot', reboot],
  ['arping', arping],
  ['ping', ping],
  ['nc', nc],
  ['mokutil', mokutil],
  ['cat', cat],
  ['tee', tee],
  ['mkdir', mkdir],
  ['mv', mv],
  ['cp', cp],
  ['install', install],
  ['rm', rm],
  ['chmod', chmod],
  ['chown', success],
  ['ls', ls],
  ['stat', stat],
  ['sha256sum', sha256sum],
  ['test', test],
  ['[', test],
  ['head', head],
  ['tail', tail],
  ['wc', wc],
  ['grep', grep],
  ['base64', base64],
  ['sync', success],
  ['udevadm', success],
  ['true', success],
  [':', success],
  ['false', () => 1],
  ['echo', print((call) => `${call.args.join(' ')}\n`)],
  ['printf', print((call) => formatted(call.args))],
  ['whoami', print((call) => `${call.user}\n`)],
  ['id', print((call) => idText(call))],
  ['uname', print((call) => unameText(call))],
  ['uptime', print(() => ' up 5 min,  0 users,  load average: 0.10, 0.08, 0.05\n')],
  ['command', commandBuiltin],
  ['timeout', timeout],
  ['env', env],
])
