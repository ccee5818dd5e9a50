import { normalize } from '../../file-system.ts'
import type { Command, CommandCall } from '../shell.ts'
import { collect } from './arguments.ts'

const trialFolder = '/run/systemd/network'

/**
 * What the product's script for changes of the network does (`networkChangeScript`), in simulated time: a change on trial is
 * taken back by the node itself unless it is confirmed.
 */
export const networkChange: Command = async (call) => {
  const [verb = '', id = '', seconds = '', nic = ''] = call.args
  const { node } = call
  const say = async (text: string, code = 0) => {
    await call.out(`${text}\n`)
    return code
  }
  const { trial } = node
  switch (verb) {
    case 'begin': {
      const input = (await collect(call.stdin.chunks())).toString()
      if (nic !== node.nic.name) return await say(`problem: there is no network interface ${nic}`, 1)
      if (trial?.state === 'pending') return await say(`state: pending ${trial.id}`)
      if (call.user !== 'root') return await say('problem: /run/landfall cannot be made', 1)
      const files = readFiles(input)
      if (files === undefined) return await say('problem: the files of the change did not arrive whole', 1)
      node.beginTrial({
        id,
        rollBackSeconds: Number(seconds),
        apply: () => {
          for (const [name, content] of files.trial) node.files.write(`${trialFolder}/${name}`, content)
          if (node.applyNetworkUnits()) node.cutConnections()
        },
        withdraw: () => {
          for (const [name] of files.trial) removeFile(call, `${trialFolder}/${name}`)
        },
        confirm: () => {
          for (const [path, content] of files.final) node.files.write(normalize(path), content)
        },
      })
      return await say(`state: begun ${id}`)
    }
    case 'confirm':
      if (trial?.id !== id) return await say('state: none')
      return await say(node.confirmTrial() ? 'state: confirmed' : 'state: rolled-back')
    default:
      return await say(trial === null ? 'state: none' : `state: ${trial.state} ${trial.id}`)
  }
}

function readFiles(
  input: string,
): { trial: [name: string, content: string][]; final: [path: string, content: string][] } | undefined {
  const lines = input.split('\n').filter((line) => line !== '')
  if (lines.at(-1) !== 'end') return undefined
  const of = (kind: string) =>
    lines
      .map((line) => line.split(' '))
      .filter((words) => words[0] === kind)
      .map((words): [string, string] => [
        words[1] ?? '',
        Buffer.from(words[2] ?? '', 'base64').toString('utf8'),
      ])
  return { trial: of('trial'), final: of('final') }
}

function removeFile(call: CommandCall, path: string): void {
  if (call.node.files.stat(path) !== null) call.node.files.remove(path, 'root')
}
