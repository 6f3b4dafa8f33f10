/** CreateImageFromVm: POST /images?action=create-from-vm (vm-images.md §1 and §2). */
import type { Config } from '../config/types';
import { ApiError, invalidParameter, missingParameter } from '../errors';
import { askedOwner, requireBody } from '../images/create';
import { show } from '../images/json';
import type { Call } from './call';
import type { Query } from './query';
import { account } from './steps';

/** An incremental image has an origin at least, so that a chain of images is no shorter than this. */
const LEAST_ORIGIN_DEPTH = 2;

/** Machines are copied to an object store; a server without one has to be told that its own disk will do. */
function requireStorage({ storageTypes, allowLocalCreateImageFromVm }: Config): void {
    const hasObjectStore = storageTypes.some((type) => type !== 'local');
    if (!hasObjectStore && !allowLocalCreateImageFromVm) {
        throw new ApiError(
            'NotAvailable',
            'This server does not create images of machines: it has no object store, and ' +
                '"allowLocalCreateImageFromVm" is not set.',
        );
    }
}

function requireVmUuid(query: Query): void {
    if (query.uuid('vm_uuid') === undefined) {
        throw missingParameter('vm_uuid', 'the uuid of the machine to create an image of');
    }
}

function readOriginDepth(query: Query): number | undefined {
    const given = query.one('max_origin_depth');
    if (given === undefined) {
        return undefined;
    }
    const depth = Number(given);
    if (!Number.isFinite(depth) || depth < LEAST_ORIGIN_DEPTH) {
        throw invalidParameter(
            `Parameter "max_origin_depth" is ${show(given)}; it takes a number of at least ${LEAST_ORIGIN_DEPTH}.`,
            'max_origin_depth',
        );
    }
    return depth;
}

/**
 * Checks a request for an image of a machine. No version yet has the services that would make it, so that a good
 * request ends as it does where they cannot be reached.
 *
 * @throws ApiError NotAvailable, ValidationFailed, InvalidParameter, ServiceUnavailableError
 */
export function createImageFromVm(call: Call): void {
    const { query, services, state } = call;
    requireStorage(services.config);
    requireVmUuid(query);
    query.boolean('incremental');
    readOriginDepth(query);
    askedOwner(requireBody(state.body), account(call));
    throw new ApiError(
        'ServiceUnavailableError',
        'The workflow service, which creates images of machines, cannot be reached by this server.',
    );
}
