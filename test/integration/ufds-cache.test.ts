/** A server that takes accounts for there for a while after it has asked (`ufds.cache`, ufds.md §4). */
import assert from 'node:assert/strict';
import http from 'node:http';
import { MANIFEST, newUuid } from '../support/api';
import { OpenLdap } from '../support/openldap';
import { DATACENTER, Registry } from '../support/registry';
import { ask } from '../support/workers';

describe('ufds.cache', () => {
    let directory: OpenLdap;
    let registry: Registry;
    const agents: http.Agent[] = [];

    before(async function () {
        directory = await OpenLdap.start(this);
        registry = await Registry.start({
            ...DATACENTER,
            authType: 'none',
            cluster: { workers: 2 },
            ufds: { ...directory.config, retry: { maxDelay: 100 }, cache: '1m' },
        });
    });
    after(async () => {
        agents.forEach((agent) => agent.destroy());
        await registry.stop();
        await directory.stop();
    });

    /** Asks one worker: each connection stays with the worker that took it. */
    type Worker = (method: string, path: string, json?: object) => Promise<{ status: number; body: Buffer }>;

    async function bothWorkers(): Promise<[Worker, Worker]> {
        const found = new Map<number, Worker>();
        while (found.size < 2) {
            const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
            agents.push(agent);
            const worker: Worker = (method, path, json) =>
                ask(registry.url + path, {
                    method,
                    agent,
                    headers: { 'content-type': 'application/json' },
                    ...(json && { body: Buffer.from(JSON.stringify(json)) }),
                });
            const { body } = await worker('GET', '/ping');
            found.set((JSON.parse(body.toString()) as { pid: number }).pid, worker);
        }
        const [one, other] = [...found.values()];
        assert.ok(one && other);
        return [one, other];
    }

    it('has each worker remember who is there, and nobody who is not', async () => {
        const [one, other] = await bothWorkers();
        const owner = newUuid();
        const create = async (worker: Worker) => {
            const { status, body } = await worker('POST', '/images', { ...MANIFEST, owner });
            return status === 200 ? 'created' : (JSON.parse(body.toString()) as { code: string }).code;
        };
        assert.equal(await create(one), 'OwnerDoesNotExist');
        await directory.addAccount(owner, 'passing');
        assert.equal(await create(one), 'created');

        await directory.deleteAccount(owner);
        assert.equal(await create(one), 'created');
        assert.equal(await create(other), 'OwnerDoesNotExist');

        await directory.kill();
        try {
            assert.equal(await create(one), 'created');
            assert.equal(await create(other), 'ServiceUnavailableError');
            const { status } = await other('POST', '/state?action=dropcaches', {});
            assert.equal(status, 202);
            assert.equal(await create(one), 'ServiceUnavailableError');
        } finally {
            directory.restart();
        }
    });
});
