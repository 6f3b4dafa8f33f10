/** `imgapi-manta-setup`: has the image service of a datacenter keep its files in the Manta of the same accounts (ops.md §2). */
import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import { AccountKeys } from '../dc/account-keys';
import { loadBalancerAddress } from '../dc/load-balancer';
import type { LdapOptions } from '../dc/ldap';
import type { Metadata } from '../dc/sapi';
import { ServiceClient } from '../dc/service-client';
import type { Config } from '../config';
import { makeKeyPair, type KeyPair } from '../signing/key-pair';
import { CommandFailure } from './command';
import { checkAccess, keyOf, mantaMetadata } from './manta-metadata';
import {
    configured,
    findDatacenter,
    findService,
    type SetupContext,
    type SetupProgram,
} from './setup-program';

/** Stands for the URL of whatever load balancer Manta has. */
const FIRST_LB = 'FIRST-LB';

/** What counts if the configuration does not say, in ms. */
const REQUEST_TIMEOUT = 5000;

export const mantaSetup: SetupProgram = {
    name: 'imgapi-manta-setup',
    operands: ['<manta-url>'],
    about: [
        'Has the image service of this datacenter keep files in the Manta that has the accounts of this datacenter:',
        "makes a key for it, gives that to the administrator's account, and writes all of it to the metadata of the",
        'service "imgapi" in SAPI, from which every instance is configured anew within a minute and restarted.',
        `Take "${FIRST_LB}" for <manta-url> to use the external address of Manta's first load balancer.`,
        'It can be run again: the key stays, URL and options are set as given, and what is missing is added.',
    ],
    flags: [
        { name: 'force', short: 'f', help: 'replace the key by a new one, also where there is one already' },
        {
            name: 'remote',
            short: 'r',
            help: 'Manta is in another place: images of the administrator stay here',
        },
        { name: 'insecure', short: 'i', help: 'do not verify the certificate of Manta' },
    ],
    run: setUp,
};

async function setUp(context: SetupContext): Promise<void> {
    const { config, flags, operands, log, sapi, request } = context;
    const [given = ''] = operands;
    const user = configured(config, 'ufds_admin_login');
    checkAccess({ url: given === FIRST_LB ? 'manta.example.com' : given, user });
    const datacenter = await findDatacenter(context);
    const url = given === FIRST_LB ? await firstLoadBalancer(context) : given;
    const service = await findService(context, datacenter.uuid);
    const name = `${textOf(datacenter.metadata, 'datacenter_name')} imgapi key`;

    // Before anything is changed, so that nothing is where it is down.
    const master = masterOf(config, datacenter.metadata);
    const accountKeys = await AccountKeys.open(master, textOf(datacenter.metadata, 'ufds_admin_uuid'));
    try {
        log.info({ url: master.url }, 'connected to the UFDS that takes changes');
        const former = flags.has('force') ? formerKey(service.metadata) : keyOf(service.metadata);
        const isOwn = former !== undefined && (await belongsToUs(former, name, accountKeys));
        const isReused = isOwn && !flags.has('force');
        const key = isReused ? former : makeKeyPair(name);
        log.info(
            { keyId: key.sha256, fingerprint: key.md5 },
            isReused ? 'using the key there is' : 'made a key',
        );

        const access = { url, user, insecure: flags.has('insecure'), remote: flags.has('remote') };
        await sapi.setMetadata(service.uuid, mantaMetadata(access, key), request);
        log.info({ service: service.uuid, ...access }, 'wrote the metadata of the service');

        if (isOwn && !isReused) {
            await accountKeys.delete({ fingerprint: former.md5 });
        }
        const changed = await accountKeys.put({ name, publicLine: key.publicLine, fingerprint: key.md5 });
        log.info(
            { keyName: name, fingerprint: key.md5, user },
            changed ? 'gave the key to the account' : 'the account has the key already',
        );
    } finally {
        accountKeys.close();
    }
    log.info('done; all instances of the service are configured anew within a minute, and restarted');
}

/** The key that is being replaced; one that cannot be read does not matter any more. */
function formerKey(metadata: Metadata): KeyPair | undefined {
    try {
        return keyOf(metadata);
    } catch (error) {
        if (error instanceof CommandFailure) {
            return undefined;
        }
        throw error;
    }
}

/**
 * Whether a key was made for this service. One that somebody has given it for a foreign Manta would let whoever has it
 * in as the administrator.
 */
async function belongsToUs(key: KeyPair, name: string, accountKeys: AccountKeys): Promise<boolean> {
    return key.comment === name || (await accountKeys.has({ fingerprint: key.md5 }));
}

async function firstLoadBalancer({ config, sapi, request, log, serverName }: SetupContext): Promise<string> {
    const manta = await sapi.application('manta', request, { includeMaster: true });
    if (manta?.owner === undefined) {
        throw new CommandFailure('SAPI has no application "manta", here or in the first datacenter');
    }
    const configuredUrl = config.vmapi?.url ?? '';
    const vmapi = new ServiceClient({
        name: 'VMAPI',
        url: configuredUrl === '' ? `http://${configured(config, 'vmapi_service')}` : configuredUrl,
        config,
        serverName,
    });
    try {
        const address = await loadBalancerAddress(vmapi, manta.owner, request);
        if (address === undefined) {
            throw new CommandFailure('no load balancer of Manta runs in this datacenter');
        }
        const url = `https://${address.includes(':') ? `[${address}]` : address}`;
        log.info({ url }, 'found the first load balancer of Manta');
        return url;
    } finally {
        await vmapi.close();
    }
}

/** The UFDS that the others copy from: it may be in another datacenter. */
function masterOf({ ufds }: Config, metadata: Metadata): LdapOptions {
    const isHere = String(metadata.ufds_is_master) === 'true';
    const host = textOf(metadata, isHere ? 'ufds_domain' : 'ufds_remote_ip');
    const { connectTimeout = REQUEST_TIMEOUT, timeout, clientTimeout, ca } = ufds ?? {};
    return {
        url: `ldaps://${host}`,
        bindDN: textOf(metadata, 'ufds_ldap_root_dn'),
        bindPassword: textOf(metadata, 'ufds_ldap_root_pw'),
        connectTimeout,
        requestTimeout: timeout ?? clientTimeout ?? REQUEST_TIMEOUT,
        secureContext: ca === undefined ? undefined : createSecureContext({ ca: readFileSync(ca) }),
    };
}

function textOf(metadata: Metadata, name: string): string {
    const value = metadata[name];
    if (typeof value !== 'string' || value === '') {
        throw new CommandFailure(`SAPI has no "${name}" in the metadata of the application "sdc"`);
    }
    return value;
}
