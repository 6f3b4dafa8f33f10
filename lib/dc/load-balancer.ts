/** Where the load balancers of a datacenter's Manta are (ops.md §2). */
import { isIP } from 'node:net';
import { ServiceFailure, type ServiceContext } from './driver';
import type { ServiceClient } from './service-client';

/**
 * The external address of the first load balancer that runs.
 *
 * @param owner account of the Manta application
 * @returns an IP address; undefined if no load balancer runs
 * @throws ServiceFailure if VMAPI does not tell, or the first load balancer has no external address
 */
export async function loadBalancerAddress(
    vmapi: ServiceClient,
    owner: string,
    context: ServiceContext,
): Promise<string | undefined> {
    const query = { owner_uuid: owner, 'tag.manta_role': 'loadbalancer', state: 'running' };
    const { body } = await vmapi.request({ method: 'GET', path: '/vms', query }, context);
    if (!Array.isArray(body)) {
        throw new ServiceFailure('VMAPI answered with what is no list (GET /vms).');
    }
    if (body.length === 0) {
        return undefined;
    }
    const { uuid, nics } = (body[0] ?? {}) as { uuid?: unknown; nics?: unknown };
    const list = Array.isArray(nics) ? (nics as ({ nic_tag?: unknown; ip?: unknown } | null)[]) : [];
    const ip = list.find((nic) => nic?.nic_tag === 'external')?.ip;
    if (typeof ip !== 'string' || isIP(ip) === 0) {
        throw new ServiceFailure(
            `The first load balancer of Manta (${String(uuid)}) has no external address.`,
        );
    }
    return ip;
}
