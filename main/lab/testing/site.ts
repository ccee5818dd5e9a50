import { createManualClock, type ManualClock } from '../manual-clock.ts'
import { startLab, type Exchange, type Lab, type LabOptions } from '../index.ts'
import { at, callLab, examplePlan, logIn } from './lab-client.ts'

export const minute = 60_000
/** Start of the simulated time in tests: a Monday morning. */
export const simulatedStart = Date.UTC(2027, 0, 4, 8)

export interface TestLab {
  lab: Lab
  clock: ManualClock
  exchanges: Exchange[]
}

/** A lab on a clock that stands still until the test moves it. */
export async function startTestLab(options: Partial<LabOptions> = {}): Promise<TestLab> {
  const clock = createManualClock(simulatedStart)
  const exchanges: Exchange[] = []
  const lab = await startLab({
    plan: examplePlan(),
    clock,
    onExchange: (exchange) => exchanges.push(exchange),
    ...options,
  })
  return { lab, clock, exchanges }
}

/** The same with all nodes ready: installed, started, Local UI up. */
export async function startReadyLab(options: Partial<LabOptions> = {}): Promise<TestLab> {
  const test = await startTestLab(options)
  await test.clock.advance(25 * minute)
  return test
}

/** Links `followers` to `leader` without waiting for the end; returns the answers' status codes. */
export async function linkNodes(lab: Lab, leader: string, followers: readonly string[]): Promise<number[]> {
  const leaderToken = await logIn(lab, leader)
  const statuses: number[] = []
  for (const follower of followers) {
    const generated = await callLab(
      lab,
      leader,
      'POST',
      '/v1/edge-mgmt/edgehosts/current/link/generate-token',
      {
        token: leaderToken,
      },
    )
    const answer = await callLab(lab, follower, 'POST', '/v1/edge-mgmt/edgehosts/current/link', {
      token: await logIn(lab, follower),
      body: { token: at(generated.json, 'token') },
    })
    statuses.push(answer.status)
  }
  return statuses
}

interface OfferedProfile {
  profileUid: string
  variables: { name: string; defaultValue: string; required: boolean; format: string }[]
}

/** A complete request for a cluster of all linked nodes, made from what the leader offers. */
export async function clusterBody(lab: Lab, leader: string): Promise<Record<string, unknown>> {
  const token = await logIn(lab, leader)
  const details = await callLab(lab, leader, 'GET', '/v1/edge-mgmt/clusters/archive/embedded/details', {
    token,
  })
  const profiles = at(details.json, 'clusterProfileDetails') as OfferedProfile[]
  const nodes = lab.snapshot().nodes.filter((node) => node.name === leader || node.role === 'follower')
  return {
    metadata: { name: 'palette', labels: {}, tags: {} },
    spec: {
      archiveUploadPath: at(details.json, 'archiveUploadPath'),
      profileVariables: profiles.flatMap((profile) =>
        profile.variables.map(({ name, defaultValue, required, format }) => ({
          name,
          profileUid: profile.profileUid,
          value:
            defaultValue !== '' || !required
              ? defaultValue
              : format === 'base64'
                ? 'QUJD'
                : 'Registry-Secret-2027',
        })),
      ),
      cloudConfig: {
        spec: {
          clusterConfig: {
            controlPlaneEndpoint: { host: '10.10.200.50', type: 'VIP' },
            ntpServers: ['10.10.200.1'],
            sshKeys: [],
            overlayNetworkConfiguration: { enable: false, cidr: '' },
          },
          machinePoolConfig: [
            {
              name: 'control-plane-pool',
              isControlPlane: true,
              useControlPlaneAsWorker: true,
              size: nodes.length,
              labels: ['master'],
              taints: [],
              additionalLabels: {},
              machinePoolProperties: { archType: 'amd64' },
              hosts: nodes.map((node) => ({
                hostUid: node.edgeHostId,
                hostAddress: node.nic.address,
                hostName: node.hostName,
              })),
            },
          ],
        },
      },
    },
  }
}

/** Links everything, waits, and posts the cluster; returns the answer's status. */
export async function deployCluster(test: TestLab): Promise<number> {
  const [leader = '', ...followers] = test.lab.snapshot().nodes.map((node) => node.name)
  if (followers.length > 0) {
    await linkNodes(test.lab, leader, followers)
    await test.clock.advance(6 * minute)
  }
  const body = await clusterBody(test.lab, leader)
  const token = await logIn(test.lab, leader)
  const answer = await callLab(test.lab, leader, 'POST', '/v1/edge-mgmt/cluster', { token, body })
  return answer.status
}
