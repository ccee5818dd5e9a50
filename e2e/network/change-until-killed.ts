import { readFileSync } from 'node:fs'
import {
  beginNetworkChange,
  type NetworkChange,
} from '../../main/appliance/host-configuration/network-change.ts'
import { systemDialler } from '../../main/network/dialler.ts'
import { createSshRunner } from '../../main/network/programs/ssh-runner.ts'
import { connectSsh } from '../../main/ssh/index.ts'

/** Begins a change of the network in a process of its own, says so, and then does nothing any more: it waits to be killed. */
const { address, key, fingerprint, change } = JSON.parse(process.argv[2] ?? '') as {
  address: string
  key: string
  fingerprint: string
  change: NetworkChange
}
const connection = await connectSsh({
  endpoint: { host: address, port: 22 },
  username: 'root',
  auth: { privateKey: readFileSync(key) },
  dialler: systemDialler,
  hostKey: { pinned: { algorithm: 'ssh-ed25519', fingerprint } },
})
const begun = await beginNetworkChange(
  createSshRunner({ place: 'n1', connection }),
  change,
  new AbortController().signal,
)
process.stdout.write(`${begun}\n`)
setInterval(() => undefined, 1000)
