/*
 * The workflow `import-remote-image` (imports.md §4.1): imports an image with the origins it needs from another
 * repository. What the job made it takes away again when it fails or is canceled, and nothing else.
 *
 * What such a file has to keep to stands in create-from-vm.cjs.
 *
 * A job is told `image_uuid`, `origins` (base first), `source`, `skip_owner_check`, `channel` and `req_id`. It notes
 * among them which images it made (`created`), and which it began to make without having heard whether it did (`begun`).
 */
var requests = require('./requests.cjs');

/** A request to IMGAPI about an image. */
function aboutImage(job, method, uuid, query) {
    query.channel = query.channel || job.params.channel;
    return { service: 'IMGAPI', url: imgapiUrl, method: method, path: '/images/' + uuid, query: query };
}

/** The request that makes an image. Asked by the same job again, it is answered in the same way. */
function importRequest(job, uuid) {
    return aboutImage(job, 'post', uuid, {
        action: 'import',
        source: job.params.source,
        skip_owner_check: job.params.skip_owner_check,
        import_job: job.uuid,
    });
}

/** Makes an image, and gives it as it is. */
function importImage(job, uuid, done) {
    var params = job.params;
    var request = importRequest(job, uuid);
    params.created = params.created || [];
    params.begun = (params.begun || []).concat(uuid);
    /* The source may have a bad moment. */
    request.attempts = 3;
    askOften(job, request, answered);

    function answered(err, image) {
        if (!err || !mayPass(err)) {
            params.begun = params.begun.filter(isOther);
        }
        if (!err) {
            params.created = params.created.filter(isOther).concat(uuid);
        }
        done(err, image);
    }

    function isOther(one) {
        return one !== uuid;
    }
}

function isComplete(image) {
    return image.state === 'active' || image.state === 'disabled';
}

/** Has IMGAPI fetch all files of an image. */
function addFiles(job, uuid, done) {
    var request = aboutImage(job, 'put', uuid, { source: job.params.source });
    request.path += '/file';
    request.attempts = 3;
    askOften(job, request, function (err) {
        /* Somebody else has completed it meanwhile. */
        var isLate = err && (err.code === 'ImageFilesImmutable' || err.code === 'ImageAlreadyActivated');
        done(isLate ? null : err);
    });
}

/** Has IMGAPI fetch the icon of an image, if it has one. One that the source cannot give is done without. */
function addIcon(job, uuid, done) {
    var request = aboutImage(job, 'put', uuid, { source: job.params.source });
    request.path += '/icon';
    request.attempts = 3;
    askOften(job, request, function (err) {
        done(err && err.code === 'ResourceNotFound' ? err : null);
    });
}

function activate(job, uuid, done) {
    askOften(job, aboutImage(job, 'post', uuid, { action: 'activate' }), function (err) {
        done(err && err.code === 'ImageAlreadyActivated' ? null : err);
    });
}

/** The image as it is in whatever channel. */
function look(job, uuid, done) {
    var query = job.params.channel === undefined ? {} : { channel: '*' };
    askOften(job, aboutImage(job, 'get', uuid, query), done);
}

/** Deletes an image if this job made it. Gives whether it did. */
function takeBack(job, uuid, mayGo, done) {
    var params = job.params;
    if ((params.created || []).indexOf(uuid) !== -1) {
        return look(job, uuid, judge);
    }
    if ((params.begun || []).indexOf(uuid) === -1 && !isCutOff()) {
        return done(null, false);
    }
    /* Only whoever made it is not told that it exists already. */
    askOften(job, importRequest(job, uuid), function (err, image) {
        if (err && err.statusCode < 500) {
            return done(null, false);
        }
        judge(err, image);
    });

    /** What a task that was killed has noted is lost. */
    function isCutOff() {
        return (job.chain_results || []).some(function (result) {
            return result.error === 'workflow timeout';
        });
    }

    function judge(err, image) {
        if (err) {
            return done(err.statusCode === 404 ? null : err, false);
        }
        if (!mayGo(image)) {
            return done(null, false);
        }
        askOften(job, aboutImage(job, 'del', uuid, {}), function (failed) {
            if (!failed) {
                return done(null, true);
            }
            /* Others are built on it by now. */
            if (failed.statusCode === 404 || failed.code === 'ImageHasDependentImages') {
                return done(null, false);
            }
            done(failed);
        });
    }
}

/** Imports the origins, base first, unless somebody else has brought them meanwhile. */
function importOrigins(job, done) {
    var origins = job.params.origins || [];
    next(0);

    function next(index) {
        var uuid = origins[index];
        if (uuid === undefined) {
            return done(null, index === 0 ? 'No origins to import' : 'Origin images have been imported');
        }
        importImage(job, uuid, function (err, image) {
            if (err && err.code === 'ImageUuidAlreadyExists') {
                return look(job, uuid, judge);
            }
            if (err || isComplete(image)) {
                return goOn(err);
            }
            addFiles(job, uuid, function (withoutFiles) {
                if (withoutFiles) {
                    return done(withoutFiles);
                }
                addIcon(job, uuid, function (withoutIcon) {
                    if (withoutIcon) {
                        return done(withoutIcon);
                    }
                    activate(job, uuid, goOn);
                });
            });
        });

        function judge(err, image) {
            goOn(
                err || isComplete(image)
                    ? err
                    : failure('OriginIsNotActive', 'The origin image ' + uuid + ' is here, but not active.')
            );
        }

        function goOn(err) {
            if (err) {
                return done(err);
            }
            next(index + 1);
        }
    }
}

function importTheImage(job, done) {
    /* Until an image is built on them, whoever made or may delete them can take them away again. */
    importOrigins(job, function (withoutOrigins) {
        if (withoutOrigins) {
            return done(withoutOrigins);
        }
        importImage(job, job.params.image_uuid, function (err) {
            done(err, 'Image ' + job.params.image_uuid + ' created');
        });
    });
}

function addItsFiles(job, done) {
    addFiles(job, job.params.image_uuid, function (err) {
        done(err, 'Image ' + job.params.image_uuid + ' file added');
    });
}

function addItsIcon(job, done) {
    addIcon(job, job.params.image_uuid, function (err) {
        done(err, 'Image ' + job.params.image_uuid + ' icon added, if it has one');
    });
}

function activateIt(job, done) {
    activate(job, job.params.image_uuid, function (err) {
        done(err, 'Image ' + job.params.image_uuid + ' activated');
    });
}

function deleteImage(job, done) {
    var uuid = job.params.image_uuid;
    takeBack(job, uuid, isUnactivated, function (err, isDeleted) {
        done(err, 'Image ' + uuid + (isDeleted ? ' deleted' : " was not this job's to be deleted"));
    });

    /* Once somebody has activated it, it is complete, and theirs. */
    function isUnactivated(image) {
        return image.state === 'unactivated';
    }
}

function deleteOrigins(job, done) {
    var origins = (job.params.origins || []).slice();
    var deleted = [];
    var failed;
    next();

    function next() {
        var uuid = origins.pop();
        if (uuid === undefined) {
            return done(
                failed,
                deleted.length === 0 ? 'No origins to delete' : 'Origins deleted: ' + deleted.join(', ')
            );
        }
        takeBack(job, uuid, isAny, function (err, isDeleted) {
            failed = failed || err;
            if (isDeleted) {
                deleted.push(uuid);
            }
            next();
        });
    }

    function isAny() {
        return true;
    }
}

/** A job that has failed must not end well because what had to be done about it went well. */
function fail(job, done) {
    done('The job failed');
}

module.exports = {
    name: 'import-remote-image',
    version: '8.0.0',
    /* Longer than all tasks together: their own timeouts tell more. Files may be 20 GiB. */
    timeout: 90000,
    helpers: Object.assign({}, requests, {
        aboutImage: aboutImage,
        importRequest: importRequest,
        importImage: importImage,
        importOrigins: importOrigins,
        isComplete: isComplete,
        addFiles: addFiles,
        addIcon: addIcon,
        activate: activate,
        look: look,
        takeBack: takeBack,
    }),
    chain: [
        {
            name: 'origin_import_images',
            timeout: 60000,
            retry: 1,
            modules: { restify: 'restify' },
            body: importOrigins,
        },
        {
            name: 'import_image',
            timeout: 5000,
            retry: 1,
            modules: { restify: 'restify' },
            body: importTheImage,
        },
        {
            name: 'add_image_file',
            timeout: 20000,
            retry: 1,
            modules: { restify: 'restify' },
            body: addItsFiles,
        },
        {
            name: 'add_image_icon',
            timeout: 600,
            retry: 1,
            modules: { restify: 'restify' },
            body: addItsIcon,
        },
        { name: 'activate_image', timeout: 300, retry: 1, modules: { restify: 'restify' }, body: activateIt },
    ],
    onerror: [
        { name: 'delete_image', timeout: 600, retry: 1, modules: { restify: 'restify' }, body: deleteImage },
        {
            name: 'origin_delete_images',
            timeout: 3600,
            retry: 1,
            modules: { restify: 'restify' },
            body: deleteOrigins,
        },
        { name: 'On error', timeout: 10, retry: 1, modules: {}, body: fail },
    ],
    oncancel: [
        { name: 'delete_image', timeout: 600, retry: 1, modules: { restify: 'restify' }, body: deleteImage },
        {
            name: 'origin_delete_images',
            timeout: 3600,
            retry: 1,
            modules: { restify: 'restify' },
            body: deleteOrigins,
        },
    ],
};
