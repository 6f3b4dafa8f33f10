/** Imports of images that were made elsewhere (imports.md §2 to §5). */
import { ApiError, errorRow, validationFailed } from '../errors';
import { IMPORT_REMOTE_TASK, type ImportJobParams } from '../images/import-job';
import type { ImportOptions } from '../images/importer';
import { show, type JsonObject } from '../images/json';
import { missingOrigins } from '../images/origins';
import { requireSourceUrl, type RemoteImage } from '../images/remote-source';
import { RemoteFailure } from '../imports/driver';
import { isUuid } from '../manifest';
import { assertInAllChannels } from './authorize';
import type { Call } from './call';
import { createJob, sendJob } from './jobs';
import { sendImage } from './mutate';
import { operatorOnly } from './steps';

function importOptions(call: Call): ImportOptions {
    const isGiven = call.query.nonEmpty('skip_owner_check') !== undefined;
    return {
        channel: call.state.channel,
        skipOwnerCheck: isGiven && call.query.boolean('skip_owner_check') === true,
    };
}

/** The image in the repository at a URL, asked for on behalf of this request. */
export function remoteImage(call: Call, source: string, uuid: string = call.uuid): RemoteImage {
    return call.services.importer.remote(source, uuid, { requestId: call.id, signal: call.signal });
}

/** POST /images/U?action=import: from the manifest in the body, or with `source` from the one in a repository. */
export async function adminImportImage(call: Call): Promise<void> {
    const { importer } = call.services;
    const source = call.query.nonEmpty('source');
    operatorOnly(call);
    if (source === undefined) {
        // The uuids are compared before the parameter is looked at, so the options are made in there.
        const image = await importer.fromManifest(call.state.body, call.uuid, {
            options: () => importOptions(call),
            mayReplace: ({ raw }) => assertInAllChannels(call, raw),
            userAgent: call.headers['user-agent'],
        });
        sendImage(call, image);
        return;
    }
    const options = importOptions(call);
    requireSourceUrl(source);
    const image = await importer.fromSource(
        remoteImage(call, source),
        options,
        call.query.uuid('import_job'),
    );
    const { body, etag } = image.render({ channels: true, adminFields: false });
    call.sendJson(200, body, { Etag: etag });
}

/** POST /images/U?action=import-remote: a job imports the image with the origins it needs. */
export async function adminImportRemoteImage(call: Call): Promise<void> {
    const { importer, images, jobs } = call.services;
    const source = call.query.required('source', 'the URL of the image repository to import from');
    operatorOnly(call);
    const { skipOwnerCheck } = importOptions(call);
    await importer.refuseExisting(call.uuid);
    jobs.assertAvailable(IMPORT_REMOTE_TASK);
    requireSourceUrl(source);
    const manifest = await remoteImage(call, source).manifest();
    const origins = await missingOrigins(manifest, {
        images,
        remote: (uuid) => remoteImage(call, source, uuid),
        tooLong: () =>
            new ApiError(
                'RemoteSourceError',
                'The chain of origins at the source is longer than 100 images.',
            ),
    });
    await startImport(call, { source, origins, skipOwnerCheck });
}

/** POST /images/U?action=import-from-datacenter: the same for an account's own image in another datacenter. */
export async function importFromDatacenter(call: Call): Promise<void> {
    const { importer, images, jobs } = call.services;
    const account = requiredAccount(call);
    const source = datacenterUrl(call);
    const manifest = await manifestElsewhere(call, source, account);
    if (manifest.state !== 'active') {
        throw new ApiError(
            'ValidationFailed',
            `Image ${call.uuid} cannot be imported: it is not active in the other datacenter.`,
            { errors: [] },
        );
    }
    if (manifest.owner !== account) {
        throw new ApiError(
            'UnauthorizedError',
            `Image ${call.uuid} cannot be imported: account ${account} does not own it.`,
        );
    }
    await importer.refuseExisting(call.uuid);
    const origins = await missingOrigins(manifest, {
        images,
        remote: (uuid) => remoteImage(call, source, uuid),
        account,
        judge: (uuid, origin) => {
            if (origin.owner !== account) {
                throw new ApiError(
                    'ResourceNotFound',
                    `The origin image ${uuid} belongs to somebody else, so it must be in this datacenter already.`,
                );
            }
        },
        tooLong: () => new ApiError('InternalError', 'The chain of origins is longer than 100 images.'),
    });
    jobs.assertAvailable(IMPORT_REMOTE_TASK);
    await startImport(call, { source, origins, skipOwnerCheck: false });
}

/** @throws ApiError ValidationFailed */
function requiredAccount(call: Call): string {
    const account = call.query.one('account');
    const given = account === undefined ? 'missing' : show(account);
    if (account === undefined || !isUuid(account)) {
        throw validationFailed(
            `Parameter "account" is ${given}; it takes the uuid of the account that owns the image.`,
            'account',
        );
    }
    return account;
}

/** The repository of the datacenter that is asked for. @throws ApiError ValidationFailed */
function datacenterUrl(call: Call): string {
    const { imgapiUrlFromDatacenter: urls = {}, datacenterName } = call.services.config;
    const names = Object.keys(urls).filter((name) => name !== datacenterName);
    const known = names.length === 0 ? 'none is configured' : `there are: ${names.join(', ')}`;
    const asked = call.query.required('datacenter', `the name of another datacenter (${known})`);
    const url = Object.hasOwn(urls, asked) ? urls[asked] : undefined;
    if (asked === datacenterName || url === undefined) {
        throw validationFailed(
            asked === datacenterName
                ? `Parameter "datacenter" is "${asked}", this datacenter itself; it takes another one (${known}).`
                : `Parameter "datacenter" is ${show(asked)}, which is not known here; ${known}.`,
            'datacenter',
        );
    }
    return url;
}

/** The manifest in the other datacenter. What that one refuses is passed on, where this route can answer so; its faults are not. */
async function manifestElsewhere(call: Call, source: string, account: string): Promise<JsonObject> {
    try {
        return await remoteImage(call, source).manifest('image', account);
    } catch (err) {
        const failure = err instanceof ApiError && err.cause instanceof RemoteFailure ? err.cause : undefined;
        const code = call.route.errors.find((known) => known === failure?.remote?.code);
        const { status = 500, remote } = failure ?? {};
        if (code && remote && status === errorRow(code).status && status < 500) {
            throw new ApiError(code, remote.message, { cause: err });
        }
        throw err;
    }
}

async function startImport(
    call: Call,
    { source, origins, skipOwnerCheck }: { source: string; origins: string[]; skipOwnerCheck: boolean },
): Promise<void> {
    const { config } = call.services;
    const { channel } = call.state;
    const params: ImportJobParams = {
        ...(origins.length > 0 && { origins }),
        image_uuid: call.uuid,
        req_id: call.id,
        source,
        skip_owner_check: skipOwnerCheck,
        ...(config.allowInsecure !== undefined && { allowInsecure: config.allowInsecure }),
        ...(channel !== undefined && { channel }),
    };
    const { uuid } = await createJob(call, {
        task: IMPORT_REMOTE_TASK,
        imageUuid: call.uuid,
        target: `/import-remote-${call.uuid}`,
        params,
    });
    sendJob(call, { uuid, image_uuid: call.uuid });
}
