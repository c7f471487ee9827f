-- Sends every CT series to the node once no new image has arrived for StableAge seconds.
-- Results are no CT, so that they are not sent back.
function OnStableSeries(seriesId, tags, metadata)
  if tags['Modality'] == 'CT' then
    SendToModality(seriesId, 'liverseg')
  end
end
