/** A datacenter for the scripts that set up Manta: SAPI, VMAPI and UFDS, and a way to run them. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { recordingLog } from './recording-log';
import { runSetup, type SetupProgram } from '../../lib/admin/setup-program';
import { HttpStandIn, type StandInRequest } from './http-stand-in';
import { Page, type Outcome } from './imgapiadm';
import { ACCOUNTS, OpenLdap } from './openldap';
import { SapiServer } from './sapi-server';
import { makeFolder } from './server';

export const DATACENTER_NAME = 'us-test-1';
const SDC = 'f1f6ed0c-6ba4-4b9a-8d5b-5a8e0f9d0001';
const MANTA_OWNER = '0a8f6b3d-3d3a-4f0e-9a0e-2a6c3f4b0002';

export interface SetupOutcome extends Outcome {
    /** Records of the log. */
    log: Record<string, unknown>[];
    /** All that it has written anywhere. */
    all: string;
}

/** A machine as ListVms of VMAPI gives it. */
export interface ListedVm {
    uuid: string;
    owner_uuid: string;
    state: string;
    tags: Record<string, string>;
    nics: { nic_tag: string; ip: string }[];
}

export class SetupScene {
    readonly vms: ListedVm[] = [];

    private constructor(
        readonly folder: string,
        readonly sapi: SapiServer,
        readonly vmapi: HttpStandIn,
        readonly ufds: OpenLdap,
        private readonly removeFolder: () => Promise<void>,
    ) {}

    static async start(context: Mocha.Context): Promise<SetupScene> {
        const ufds = await OpenLdap.start(context);
        const sapi = await SapiServer.start();
        const answer = (request: StandInRequest) => scene.#listVms(request);
        const vmapi = await HttpStandIn.start((request) => answer(request));
        const { path, remove } = await makeFolder();
        const scene: SetupScene = new SetupScene(path, sapi, vmapi, ufds, remove);
        scene.reset();
        return scene;
    }

    async stop(): Promise<void> {
        await Promise.all([this.sapi.stop(), this.vmapi.stop(), this.ufds.stop(), this.removeFolder()]);
    }

    /** As if nothing had been set up, but for the keys of accounts. */
    reset(): void {
        const { sapi, vmapi, ufds } = this;
        const host = new URL(ufds.secureUrl).host;
        const { bindDN, bindPassword } = ufds.config;
        sapi.http.trouble = undefined;
        vmapi.trouble = undefined;
        sapi.http.requests.length = 0;
        const metadata = {
            datacenter_name: DATACENTER_NAME,
            ufds_admin_uuid: ACCOUNTS.sdc,
            ufds_domain: host,
            ufds_is_master: 'true',
            ufds_ldap_root_dn: bindDN,
            ufds_ldap_root_pw: bindPassword,
        };
        const owner_uuid = ACCOUNTS.sdc;
        sapi.applications.splice(0, Infinity, { uuid: SDC, name: 'sdc', owner_uuid, metadata });
        const other = { uuid: 'e2d3c4b5-0000-4000-8000-000000000004', application_uuid: MANTA_OWNER };
        const own = { uuid: 'e2d3c4b5-0000-4000-8000-000000000003', application_uuid: SDC };
        sapi.services.splice(
            0,
            Infinity,
            { ...other, name: 'imgapi', metadata: {} },
            { ...own, name: 'imgapi', metadata: { SERVICE_NAME: 'imgapi' } },
        );
        this.vms.length = 0;
    }

    /** Metadata of the datacenter, which tests may change. */
    get datacenter(): Record<string, unknown> {
        return this.sapi.applications[0]!.metadata;
    }

    /** Metadata of the image service. */
    get service(): Record<string, unknown> {
        return this.sapi.services[1]!.metadata;
    }

    /** Adds the application `manta` and a load balancer of it; gives the latter. */
    addManta(isOfMaster = false): ListedVm {
        const uuid = 'f1f6ed0c-6ba4-4b9a-8d5b-5a8e0f9d0005';
        this.sapi.applications.push({
            uuid,
            name: 'manta',
            owner_uuid: MANTA_OWNER,
            metadata: {},
            isOfMaster,
        });
        const vm = {
            uuid: 'aa8f6b3d-3d3a-4f0e-9a0e-2a6c3f4b0006',
            owner_uuid: MANTA_OWNER,
            state: 'running',
            tags: { manta_role: 'loadbalancer' },
            nics: [
                { nic_tag: 'admin', ip: '10.0.0.8' },
                { nic_tag: 'external', ip: '10.88.88.8' },
            ],
        };
        this.vms.push(vm);
        return vm;
    }

    /** Writes the configuration file. Gives its path. */
    async configure(changes: Record<string, unknown> = {}): Promise<string> {
        const file = join(this.folder, 'imgapi.config.json');
        const config = {
            mode: 'dc',
            datacenterName: DATACENTER_NAME,
            authType: 'none',
            ufds: this.ufds.config,
            vmapi: { url: `http://${this.vmapi.host}` },
            sapi_service: this.sapi.http.host,
            ufds_admin_login: 'sdc',
            ...changes,
        };
        await writeFile(file, JSON.stringify(config));
        return file;
    }

    /** Runs a script in this process. */
    async run(program: SetupProgram, ...args: string[]): Promise<SetupOutcome> {
        const [out, err, log] = [new Page(), new Page(), [] as Record<string, unknown>[]];
        const argv = [...args, '--config', join(this.folder, 'imgapi.config.json')];
        const code = await runSetup(program, { argv, log: recordingLog(log), stdout: out, stderr: err });
        const all = [out.text, err.text, JSON.stringify(log)].join('\n');
        return { code, out: out.text, err: err.text, log, all };
    }

    #listVms({ method, path, query }: StandInRequest) {
        if (method !== 'GET' || path !== '/vms') {
            return { status: 404, body: { code: 'ResourceNotFound', message: `${path} does not exist` } };
        }
        const matches = ({ owner_uuid, state, tags }: ListedVm) =>
            [...query].every(([name, value]) =>
                name.startsWith('tag.')
                    ? tags[name.slice('tag.'.length)] === value
                    : { owner_uuid, state }[name] === value,
            );
        return { status: 200, body: this.vms.filter(matches) };
    }
}
