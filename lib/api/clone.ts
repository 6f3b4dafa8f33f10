/** CloneImage: POST /images/U/clone (endpoints.md §3). */
import { invalidParameter } from '../errors';
import { makeFrom } from '../images/change';
import { cloneImage as makeClone } from '../images/clone';
import type { Image } from '../images/image';
import { assertInAllChannels } from './authorize';
import type { Call } from './call';
import { subjectOf } from './mutate';
import { account } from './steps';

function requireAccount(call: Call): string {
    const given = account(call);
    if (given === undefined) {
        throw invalidParameter(
            'Parameter "account" is missing; it takes the uuid of the account to clone the image for.',
            'account',
        );
    }
    return given;
}

export async function cloneImage(call: Call): Promise<void> {
    const { config, images, clock } = call.services;
    const options = {
        account: requireAccount(call),
        adminUuid: config.adminUuid,
        uuid: () => clock.uuid(),
        // The copies are in the channels of what they are made from.
        judge: ({ raw }: Image) => assertInAllChannels(call, raw),
    };
    const clone = await makeFrom(images, subjectOf(call), (image) =>
        makeClone(images, image, { ...options, now: clock.now() }),
    );
    call.sendJson(200, clone.render({ channels: call.version2, adminFields: false }).body);
}
