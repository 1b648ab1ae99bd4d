package aws

import "strings"

// absentOperations are those of iot that who uses jobs may come to try, and that are refused by name rather than as a path that
// nobody knows.
func absentOperations() (list []*operation) {
	for _, family := range absent {
		for _, o := range family.operations {
			name, rest, _ := strings.Cut(o, " ")
			method, path, _ := strings.Cut(rest, " ")
			list = append(list, notOffered(name, method, path, family.instead))
		}
	}
	return list
}

// absent are families of operations, each with what would do instead.
var absent = []struct {
	instead    string
	operations []string // AWS's name, method and path
}{
	{"put the things into a group (CreateThingGroup, AddThingToThingGroup); a CONTINUOUS job follows its members", []string{
		"CreateDynamicThingGroup POST /dynamic-thing-groups/{thingGroupName}",
		"UpdateDynamicThingGroup PATCH /dynamic-thing-groups/{thingGroupName}",
		"DeleteDynamicThingGroup DELETE /dynamic-thing-groups/{thingGroupName}",
	}},
	{"delete the type and create it again (DeleteThingType, CreateThingType)", []string{
		"UpdateThingType PATCH /thing-types/{thingTypeName}",
	}},
	{"there is no index; ListThings filters by type and attribute, ListThingsInThingGroup by group", []string{
		"SearchIndex POST /indices/search",
		"DescribeIndex GET /indices/{indexName}",
		"ListIndices GET /indices",
		"GetStatistics POST /indices/statistics",
		"GetCardinality POST /indices/cardinality",
		"GetPercentiles POST /indices/percentiles",
		"GetBucketsAggregation POST /indices/buckets",
		"UpdateIndexingConfiguration POST /indexing/config",
		"GetThingConnectivityData POST /things/{thingName}/connectivity-data",
	}},
	{"tag groups and thing types (TagResource), or give things attributes", []string{
		"CreateBillingGroup POST /billing-groups/{billingGroupName}",
		"DescribeBillingGroup GET /billing-groups/{billingGroupName}",
		"UpdateBillingGroup PATCH /billing-groups/{billingGroupName}",
		"DeleteBillingGroup DELETE /billing-groups/{billingGroupName}",
		"ListBillingGroups GET /billing-groups",
		"AddThingToBillingGroup PUT /billing-groups/addThingToBillingGroup",
		"RemoveThingFromBillingGroup PUT /billing-groups/removeThingFromBillingGroup",
		"ListThingsInBillingGroup GET /billing-groups/{billingGroupName}/things",
	}},
	{"create the thing (CreateThing)", []string{
		"RegisterThing POST /things",
		"StartThingRegistrationTask POST /thing-registration-tasks",
		"ListThingRegistrationTasks GET /thing-registration-tasks",
		"DescribeThingRegistrationTask GET /thing-registration-tasks/{taskId}",
		"StopThingRegistrationTask PUT /thing-registration-tasks/{taskId}/cancel",
		"ListThingRegistrationTaskReports GET /thing-registration-tasks/{taskId}/reports",
		"CreateProvisioningTemplate POST /provisioning-templates",
		"ListProvisioningTemplates GET /provisioning-templates",
		"DescribeProvisioningTemplate GET /provisioning-templates/{templateName}",
		"UpdateProvisioningTemplate PATCH /provisioning-templates/{templateName}",
		"DeleteProvisioningTemplate DELETE /provisioning-templates/{templateName}",
		"CreateProvisioningClaim POST /provisioning-templates/{templateName}/provisioning-claim",
		"CreateProvisioningTemplateVersion POST /provisioning-templates/{templateName}/versions",
		"ListProvisioningTemplateVersions GET /provisioning-templates/{templateName}/versions",
		"DescribeProvisioningTemplateVersion GET /provisioning-templates/{templateName}/versions/{versionId}",
		"DeleteProvisioningTemplateVersion DELETE /provisioning-templates/{templateName}/versions/{versionId}",
	}},
	{"certificates and policies are not kept here; whom the broker lets in, and to what, stands in its configuration", []string{
		"CreateKeysAndCertificate POST /keys-and-certificate",
		"CreateCertificateFromCsr POST /certificates",
		"RegisterCertificate POST /certificate/register",
		"RegisterCertificateWithoutCA POST /certificate/register-no-ca",
		"ListCertificates GET /certificates",
		"DescribeCertificate GET /certificates/{certificateId}",
		"UpdateCertificate PUT /certificates/{certificateId}",
		"DeleteCertificate DELETE /certificates/{certificateId}",
		"RegisterCACertificate POST /cacertificate",
		"ListCACertificates GET /cacertificates",
		"AttachThingPrincipal PUT /things/{thingName}/principals",
		"DetachThingPrincipal DELETE /things/{thingName}/principals",
		"ListThingPrincipals GET /things/{thingName}/principals",
		"ListThingPrincipalsV2 GET /things/{thingName}/principals-v2",
		"ListPrincipalThings GET /principals/things",
		"ListPrincipalThingsV2 GET /principals/things-v2",
		"CreatePolicy POST /policies/{policyName}",
		"GetPolicy GET /policies/{policyName}",
		"DeletePolicy DELETE /policies/{policyName}",
		"ListPolicies GET /policies",
		"AttachPolicy PUT /target-policies/{policyName}",
		"DetachPolicy POST /target-policies/{policyName}",
		"ListAttachedPolicies POST /attached-policies/{target}",
		"ListTargetsForPolicy POST /policy-targets/{policyName}",
	}},
	{"a job's document may hold the address of the file", []string{
		"CreateStream POST /streams/{streamId}",
		"DescribeStream GET /streams/{streamId}",
		"UpdateStream PUT /streams/{streamId}",
		"DeleteStream DELETE /streams/{streamId}",
		"ListStreams GET /streams",
		"CreateOTAUpdate POST /otaUpdates/{otaUpdateId}",
		"GetOTAUpdate GET /otaUpdates/{otaUpdateId}",
		"DeleteOTAUpdate DELETE /otaUpdates/{otaUpdateId}",
		"ListOTAUpdates GET /otaUpdates",
	}},
	{"a job's document may name what to install", []string{
		"CreatePackage PUT /packages/{packageName}",
		"GetPackage GET /packages/{packageName}",
		"UpdatePackage PATCH /packages/{packageName}",
		"DeletePackage DELETE /packages/{packageName}",
		"ListPackages GET /packages",
		"CreatePackageVersion PUT /packages/{packageName}/versions/{versionName}",
		"GetPackageVersion GET /packages/{packageName}/versions/{versionName}",
		"UpdatePackageVersion PATCH /packages/{packageName}/versions/{versionName}",
		"DeletePackageVersion DELETE /packages/{packageName}/versions/{versionName}",
		"ListPackageVersions GET /packages/{packageName}/versions",
		"AssociateSbomWithPackageVersion PUT /packages/{packageName}/versions/{versionName}/sbom",
		"DisassociateSbomFromPackageVersion DELETE /packages/{packageName}/versions/{versionName}/sbom",
		"ListSbomValidationResults GET /packages/{packageName}/versions/{versionName}/sbom-validation-results",
		"GetPackageConfiguration GET /package-configuration",
		"UpdatePackageConfiguration PATCH /package-configuration",
	}},
	{"create a job for the thing (CreateJob)", []string{
		"CreateCommand PUT /commands/{commandId}",
		"GetCommand GET /commands/{commandId}",
		"UpdateCommand PATCH /commands/{commandId}",
		"DeleteCommand DELETE /commands/{commandId}",
		"ListCommands GET /commands",
		"GetCommandExecution GET /command-executions/{executionId}",
		"DeleteCommandExecution DELETE /command-executions/{executionId}",
		"ListCommandExecutions POST /command-executions",
	}},
}
